"""#1094: banked matrices for Parallel Muon, two heads that predict further ahead."""

from reference_impl.model import ModelConfig
from reference_impl.presets import Preset

PRESET = Preset(
    pull=1094,
    about="banked matrices, value embedding, XSA in the last 4 layers, two MTP heads",
    model=ModelConfig(
        banked=True,
        leaky_slope=0.75,
        value_embedding_layers=(9, 10),
        mtp_heads=2,
    ),
    parameters=28_042_332,
)
