"""A replica as a process: real time, real sockets, signals; and the supervisor of a local group.

`driver` is the only event loop and the only place where an engine meets the outside world.
"""
