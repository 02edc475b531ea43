"""Abstract execution of a submission's live path, from its entry script to a value graph.

Each module adds one layer to the one before it: `core` (nodes, names, contexts), `containers`,
`attributes`, `calls`, `expressions`, `statements`; `tracer.Tracer` is the whole. Every statement on
the live path is executed once, with settings in force as constants and everything else symbolic.
Undecided branches are both taken and joined. User calls are inlined, so each activation has its
own values. Nothing of the submission is run or imported.
"""
