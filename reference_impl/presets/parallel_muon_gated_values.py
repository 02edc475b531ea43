"""#864: banked matrices for Parallel Muon, gated heads, a learned share of the first values.

Its seeds 42 and 2024 were trained with ``bigram_buckets`` of 1,536: 26,809,543 parameters.
"""

from reference_impl.model import ModelConfig
from reference_impl.presets import Preset

PRESET = Preset(
    pull=864,
    about="banked matrices, gated attention, learned value residual, XSA in the last 4 layers",
    model=ModelConfig(
        banked=True,
        bigram_buckets=1024,
        gated_attention=True,
        value_residual="learned",
        ln_scale=False,
    ),
    parameters=26_744_007,
)
