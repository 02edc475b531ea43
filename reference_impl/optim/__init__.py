"""How a model is trained: its optimisers, their schedule, averages of its weights, token weights."""

from reference_impl.optim.averaging import Ema, Swa
from reference_impl.optim.complementary import BigramWeights
from reference_impl.optim.groups import groups
from reference_impl.optim.muon import Muon
from reference_impl.optim.optimisers import Optimisers, Settings
from reference_impl.optim.schedule import momentum, warmdown

__all__ = [
    "BigramWeights",
    "Ema",
    "Muon",
    "Optimisers",
    "Settings",
    "Swa",
    "groups",
    "momentum",
    "warmdown",
]
