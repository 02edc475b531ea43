"""The GPT of the reference: one architecture, whose settings give each preset."""

from reference_impl.model.config import ModelConfig
from reference_impl.model.gpt import GPT

__all__ = ["GPT", "ModelConfig"]
