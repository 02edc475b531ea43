"""One run as its log shows it: every number with the line that states it, and no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Figure:
    """A number and the line (from 1) that states it."""

    value: float
    line: int
    kind: str = ""  # the line's own word for a variant: ``int8+zlib``, ``compressed``


@dataclass(frozen=True)
class Words:
    """A text and the line (from 1) that states it."""

    text: str
    line: int


class Phase(str, Enum):
    """Which budget a timed stage belongs to, or why it belongs to none."""

    TRAIN = "train"
    WARMUP = "warmup"  # compiling and warming up before a clock starts
    CALIBRATION = "calibration"  # Hessians, activation statistics: training data is read
    SERIALISATION = "serialisation"  # quantising, compressing, saving, reading back
    EVAL = "eval"
    OTHER = "other"


@dataclass(frozen=True)
class Stage:
    """A timed part of the run. ``label`` is the line's own word for it.

    A log may time a stage and, later, something around it: ``within`` is then the other's phase.
    """

    phase: Phase
    label: str
    seconds: float
    line: int
    within: Phase | None = None

    @property
    def nested(self) -> bool:
        """Whether its time is part of a later stage of the same phase."""
        return self.within is self.phase


@dataclass(frozen=True)
class Score:
    """One line with a validation score.

    ``label`` is the text before the numbers (``final_int8_zlib_roundtrip_exact``); ``step`` is set
    for a validation during training; ``val_loss`` is in nats per token, ``val_bpb`` in bits per byte.
    """

    label: str
    line: int
    val_bpb: float | None
    val_loss: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class Progress:
    """The running score over an evaluation, as one line of it says."""

    label: str
    line: int
    done: float  # the share of the evaluation that is done, from 0 to 1
    val_bpb: float
    seconds: float | None = None  # since the evaluation began


@dataclass(frozen=True, eq=False)
class RunLog:
    """One run. A file that holds several runs gives several; what it doesn't say is None or empty.

    Sizes are in bytes, times in seconds. ``scores`` are in order of their lines.
    """

    path: str
    first_line: int = 1
    last_line: int = 1
    seed: Figure | None = None
    world_size: Figure | None = None
    hardware: Words | None = None  # the accelerator's name, as nvidia-smi or the run prints it
    software: Mapping[str, str] = field(default_factory=dict)  # python, torch, cuda -> version
    settings: Mapping[str, Words] = field(default_factory=dict)  # by lower-case name
    parameters: Figure | None = None
    train_shards: Figure | None = None
    steps: Figure | None = None  # steps that were done
    planned_steps: Figure | None = None
    train_seconds: Figure | None = None  # the training clock when it stopped
    stages: tuple[Stage, ...] = ()
    code_bytes: Figure | None = None
    model_bytes: Figure | None = None  # the compressed model
    total_bytes: Figure | None = None  # code and compressed model, the log's own sum
    variants: tuple[Figure, ...] = ()  # that sum for every way of packing that the log tells of
    val_tokens: Figure | None = None  # targets in the validation set
    scored_tokens: Figure | None = None  # targets that were scored, if the log counts them
    scored_bytes: Figure | None = None
    coverage: Figure | None = None  # share of the validation targets that was scored, 0 to 1
    scores: tuple[Score, ...] = ()
    progress: tuple[Progress, ...] = ()
    source_lines: tuple[tuple[int, int], ...] = ()  # first and last line of printed source code
    unread: tuple[Words, ...] = ()  # messages that nothing was read from, kept as they are

    @property
    def final_scores(self) -> tuple[Score, ...]:
        """The scores after training, which one may be the headline."""
        return tuple(score for score in self.scores if score.step is None)

    def seconds(self, *phases: Phase) -> float:
        """The sum of all stages of these phases, those within others left out."""
        counted = (s for s in self.stages if s.phase in phases and s.within not in phases)
        return sum(stage.seconds for stage in counted)
