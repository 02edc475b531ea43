"""Mixers: the probability of each realised token under a distribution that is fixed before it is seen.

    batched.probabilities(tokens, settings)      a whole stream at once
    StreamingNgram(settings).prob(tokens)        the definition: score, then count
    LearnedNgram(settings).prob(tokens)          with weights learned online
    blend, tilt, FixedShare                      together with a neural model

Whatever has ``prob`` has ``distribution`` too: the next token's probability over the whole
vocabulary, which sums to 1 and which the fast paths are held against.
"""

from reference_impl.mixers.batched import Matches, matches, probabilities
from reference_impl.mixers.blending import EntropyWeight, FixedShare, Neural, blend, hints, tilt
from reference_impl.mixers.interpolation import NgramSettings
from reference_impl.mixers.streaming import LearnedNgram, Matcher, StreamingNgram

__all__ = [
    "EntropyWeight",
    "FixedShare",
    "LearnedNgram",
    "Matcher",
    "Matches",
    "Neural",
    "NgramSettings",
    "StreamingNgram",
    "blend",
    "hints",
    "matches",
    "probabilities",
    "tilt",
]
