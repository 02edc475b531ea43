"""How far along the sequence a model's values reach: what each position may have seen of the others.

From the tokens on, each value is followed as one of three (`states`): `Along` has an entry per position,
`Upto` is a state that a loop over positions or chunks has carried so far, `Whole` is made from all
positions at once. A model is causal while no entry reaches ahead and no `Whole` comes back into the
positions that it was made from. Where it does, there is a `Leak`. What an unknown operation makes is not
followed, so silence says little and a leak says much.

Each module adds one layer to the one before it: `core` (loops and joins), `moves` (slices, shifts,
convolutions), `sums` (reductions and products), `passes` (attention and recurrence);
`timeline.Timeline` is the whole. `axes` knows along which axis of a tensor time runs.
"""
