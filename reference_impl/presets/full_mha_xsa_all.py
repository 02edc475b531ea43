"""#825: keys and values for every head, XSA in every layer."""

from reference_impl.model import ModelConfig
from reference_impl.presets import Preset

PRESET = Preset(
    pull=825,
    about="full MHA, a wider MLP, value embedding, XSA in all layers",
    model=ModelConfig(
        kv_heads=8,
        mlp_mult=3.5,
        xsa_last=11,
        bigram_buckets=6144,
        value_embedding_layers=(9, 10),
    ),
    parameters=33_317_980,
)
