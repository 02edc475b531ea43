"""How many bits each kind of matrix gets."""

from __future__ import annotations

from dataclasses import dataclass

# What a parameter's role, the name of the attribute that holds it, says of its kind.
_KINDS = {
    **dict.fromkeys(("q", "k", "v", "out", "qo", "kv"), "attention"),
    **dict.fromkeys(("up", "down"), "mlp"),
    **dict.fromkeys(("embedding", "table", "projection"), "embedding"),
}
HALF = 16  # bits that are no grid: fp16


@dataclass(frozen=True)
class Plan:
    """Bits by kind of matrix: 5 to 8 on a grid for each row, or 16 for fp16.

    All other tensors are small, and fp16. Raises ValueError, in one line, for what can't be.
    """

    attention: int = 6
    mlp: int = 6
    embedding: int = 8
    pruned: float = 0.0  # share of each matrix's weights, the smallest, that become zero

    def __post_init__(self) -> None:
        for kind in ("attention", "mlp", "embedding"):
            if getattr(self, kind) not in (5, 6, 7, 8, HALF):
                raise ValueError(f"{kind} has {getattr(self, kind)} bits; 5 to 8, or 16, are known")
        if not 0 <= self.pruned < 1:
            raise ValueError(f"pruned is {self.pruned}; a share from 0 to below 1 is needed")

    def bits(self, role: str) -> int:
        """The bits of a parameter of that role."""
        return int(getattr(self, _KINDS[role])) if role in _KINDS else HALF


def role(name: str) -> str:
    """Of a parameter's full name, which may end in its number in a list: matrices.up.3 is up."""
    return next(part for part in reversed(name.split(".")) if not part.isdigit())


def is_matrix(name: str) -> bool:
    """Whether a parameter is one of the large matrices, of whatever kind."""
    return role(name) in _KINDS
