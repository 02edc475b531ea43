"""#871: ten layers whose values are averaged with the first layer's.

Its XSA takes away next to nothing by mistake; here it is XSA. ``xsa_subtracts_scaled_value``
brings the mistake back.
"""

from reference_impl.model import ModelConfig
from reference_impl.presets import Preset

PRESET = Preset(
    pull=871,
    about="ten layers, values averaged with the first layer's, XSA in the last 4 layers",
    model=ModelConfig(
        layers=10,
        rope_length=None,
        bigram_buckets=4096,
        value_residual="mean",
    ),
    parameters=24_730_705,
)
