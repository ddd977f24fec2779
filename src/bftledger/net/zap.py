"""Who may connect: the ZeroMQ Authentication Protocol (ZAP, RFC 27), answered by the node's own loop.

ZeroMQ asks a socket at a well-known in-process address before it finishes a handshake. Peers are let in if their key
is in the genesis, under a name that ZeroMQ then attaches to every frame of the connection (`User-Id`). Clients are let
in with any key; `connections` makes room for them.

Refusal is 300 ("temporary") throughout: after a 400, ZeroMQ's other side never tries again, and a replica that met
another group's at a peer's address once would not speak to that peer until its own restart.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.options import CLIENT_DOMAIN, PEER_DOMAIN

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_OK, _REFUSED = b"200", b"300"


class Gatekeeper:
    """Decides handshakes."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        keys: Mapping[ReplicaId, bytes],
        admit: Callable[[ReplicaId], bytes | None],
    ) -> None:
        """`admit` names a connection of the replica that holds its key, or refuses it with None.

        Must exist before the sockets it guards are bound: ZeroMQ lets nobody in while it does not.
        """
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)
        self.refused = 0
        self._replicas: Final = {key: replica for replica, key in keys.items()}
        self._admit: Final = admit

    def answer(self, limit: int) -> None:
        """Decides at most `limit` waiting handshakes; never blocks."""
        for _ in range(limit):
            try:
                request = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            status, user_id = self._decide(request)
            self.refused += status != _OK
            request_id = request[1] if len(request) > 1 else b""
            self.socket.send_multipart([_VERSION, request_id, status, b"", user_id, b""])

    def _decide(self, request: list[Any]) -> tuple[bytes, bytes]:
        """RFC 27's request: version, request id, domain, address, identity, mechanism, credentials."""
        if len(request) != 7 or request[0] != _VERSION or request[5] != b"CURVE":
            return _REFUSED, b""
        domain, key = request[2].decode("ascii", "replace"), request[6]
        if domain == PEER_DOMAIN and key in self._replicas:
            name = self._admit(self._replicas[key])
            return (_OK, name) if name is not None else (_REFUSED, b"")
        return (_OK, b"client") if domain == CLIENT_DOMAIN else (_REFUSED, b"")
