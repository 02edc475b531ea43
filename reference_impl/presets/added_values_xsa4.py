"""#803: the first layer's values are added to all others, with a scale for each layer."""

from reference_impl.model import ModelConfig
from reference_impl.presets import Preset

PRESET = Preset(
    pull=803,
    about="value embedding, added value residual, XSA in the last 4 layers",
    model=ModelConfig(
        value_embedding_layers=(9, 10),
        value_residual="added",
    ),
    parameters=26_993_766,
)
