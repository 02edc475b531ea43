"""Weights on grids of few bits: after training, and in its last part already."""

from reference_impl.quantise.grid import Quantised, quantise
from reference_impl.quantise.model import QuantisedModel
from reference_impl.quantise.plan import Plan
from reference_impl.quantise.training import LateQAT, crown_q

__all__ = ["LateQAT", "Plan", "Quantised", "QuantisedModel", "crown_q", "quantise"]
