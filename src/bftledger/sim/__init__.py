"""The simulator: whole groups in one thread, on virtual time, from one seed.

`draw` makes a `Plan` of a seed: the group, its weather, its faults, its traitors and its clients, all of it data.
`world.World` runs a plan: the unchanged engines (core, ledger, application, store in memory) and client sessions, every
frame as bytes. `run.run` adds the oracles of `check` and says what they found. The same plan gives the same run, event
by event, under any hash seed and Python version; only keys are replaced: signatures are keyed hashes unless real
ones are asked for, and nobody holds a key that is not its own.
"""
