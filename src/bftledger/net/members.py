"""The connections of the other replicas: one of each, the newest.

ZeroMQ attaches to each frame the name that its connection was let in under, `User-Id`, and the descriptor it came by.
The name is the replica's id and the time of the handshake, so no two connections share one, and a frame that its
connection left behind is not taken for one of the connection that has the descriptor now.
"""

import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.connections import Connection, Connections


class Members:
    """Lets the other replicas in, and knows whose a frame is."""

    def __init__(self, connections: Connections, replicas: Iterable[ReplicaId], per_second: int) -> None:
        """Each of `replicas` is let in at most `per_second` times in a second."""
        self._connections: Final = connections
        self._let_in_s: Final = {replica: deque[float](maxlen=per_second) for replica in replicas}
        self._newest: Final[dict[ReplicaId, tuple[str, Connection]]] = {}
        self._speakers: Final[dict[str, ReplicaId]] = {}
        """The replicas by the names of their newest connections."""
        self.replaced = 0
        """Connections that were ended because the same replica had made another."""

    def admit(self, replica: ReplicaId) -> bytes | None:
        """The name for a new connection of `replica`, or None if it has made too many within a second.

        Each connection has a queue, so making them must not be the way to a longer one.
        """
        now, let_in = time.monotonic(), self._let_in_s[replica]
        if len(let_in) == let_in.maxlen and now - let_in[0] < 1:
            return None
        let_in.append(now)
        return b"%d.%d" % (replica, self._connections.tick())

    def sender(self, frame: zmq.Frame) -> ReplicaId:
        """The replica that `frame` is from. Its first frame on a connection ends its other ones."""
        name = str(frame.get("User-Id"))
        replica = self._speakers.get(name)
        return self._introduce(name, frame.get(zmq.SRCFD)) if replica is None else replica

    def _introduce(self, name: str, descriptor: Any) -> ReplicaId:
        number, _, let_in = name.partition(".")
        replica = ReplicaId(int(number))
        self._connections.follow()
        connection = self._connections.at(descriptor)
        if connection is None or connection.born > int(let_in):
            return replica  # the frame is all that is left of its connection
        known, newest = self._newest.get(replica, ("", None))
        if newest is not None:
            older = newest if newest.born < connection.born else connection
            self.replaced += self._connections.at(older.descriptor) is older
            self._connections.end(older)
            if older is connection:
                return replica
            del self._speakers[known]
        self._connections.heard(connection)
        self._newest[replica] = name, connection
        self._speakers[name] = replica
        return replica
