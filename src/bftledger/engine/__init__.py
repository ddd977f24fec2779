"""A whole replica without sockets, clock and threads: core, ledger, application and store, one round at a time.

`opening` opens what a store holds, `engine` performs the core's effects, `desk` serves clients. A process drives an
engine with real time and real sockets (`node`); a simulation can drive the same engine with neither.
"""
