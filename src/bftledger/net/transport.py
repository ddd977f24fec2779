"""What a replica needs of a network: bounded, non-blocking, lossy; who sent a frame is authentic.

A frame may be lost, repeated or late, never altered, and its sender is the holder of the key that the genesis names
for it. Whoever does not read its frames loses them, and what waits for it meanwhile is bounded in bytes; no call waits
for it. What it does take, it takes from the line and the processor that all share. All methods but `wake` belong to one
thread.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from bftledger.base.ids import ReplicaId

DRAIN_MESSAGES: Final = 256
DRAIN_BYTES: Final = 8 * 1024 * 1024


class FromPeer(NamedTuple):
    """A frame of a replica of the group; `replica` follows from its transport key, not from what it says."""

    replica: ReplicaId
    frame: bytes


class FromClient(NamedTuple):
    """A frame of a client, anyone; `route` leads back to its connection and means nothing else."""

    route: bytes
    frame: bytes


Incoming = FromPeer | FromClient


@dataclass(slots=True)
class Traffic:
    """What went through and what did not since the start; read it, do not write it."""

    sent: int = 0
    received: int = 0
    dropped_to_peers: dict[ReplicaId, int] = field(default_factory=dict)
    """Frames that found the replica not connected, or too much waiting for it, or were too long."""

    dropped_to_clients: int = 0
    """Frames for a client that is gone, or does not read, or were too long."""

    malformed: int = 0
    """Messages that were not one frame."""

    refused_connections: int = 0
    """Handshakes at the peers' socket with an unknown key, or of a replica that made too many within a second."""

    evicted_connections: int = 0
    """Connections that were ended because others needed the room."""

    replaced_connections: int = 0
    """Connections of a replica that were ended because it had made a newer one."""

    ended_connections: int = 0
    """Connections of clients that were ended because whoever uses this wanted it."""

    def counters(self) -> dict[str, int]:
        """The same by name, for whoever looks for a cause; never a zero."""
        counted = {
            "sent": self.sent,
            "received": self.received,
            **{f"not sent to replica {replica}": count for replica, count in sorted(self.dropped_to_peers.items())},
            "not sent to clients": self.dropped_to_clients,
            "malformed": self.malformed,
            "connections refused": self.refused_connections,
            "connections evicted": self.evicted_connections,
            "connections replaced": self.replaced_connections,
            "connections ended": self.ended_connections,
        }
        return {what: count for what, count in counted.items() if count}


class Transport(Protocol):
    """A replica's connection to its peers and clients."""

    @property
    def traffic(self) -> Traffic:
        """The counters so far."""
        ...

    def send_peer(self, replica: ReplicaId, frame: bytes) -> bool:
        """Queues `frame` for `replica`; never blocks or raises. False: dropped and counted."""
        ...

    def send_client(self, route: bytes, frame: bytes) -> bool:
        """Queues `frame` for the client that a `FromClient` came from; never blocks or raises. False: dropped."""
        ...

    def end_client(self, route: bytes) -> None:
        """Ends the connection that a `FromClient` came from, as if its other side had gone, and counts it.

        What has arrived from it is still drained, what is queued for it may be lost; nothing if it has ended.
        """
        ...

    def drain(
        self,
        max_messages: int = DRAIN_MESSAGES,
        max_bytes: int = DRAIN_BYTES,
        *,
        max_requests: int = DRAIN_MESSAGES,
        max_request_bytes: int = DRAIN_BYTES,
    ) -> list[Incoming]:
        """What has arrived, without waiting: peers first, then clients.

        Takes from either side at most `max_messages`, and no more once it has `max_bytes`, of clients also no more than
        `max_requests` and `max_request_bytes` say; each side takes turns among its connections, so who floods is waited
        for no longer than the others.
        """
        ...

    def wait(self, timeout_ms: int, *, for_clients: bool = True) -> bool:
        """Sleeps until there is something to drain or `wake` is called (True), or `timeout_ms` are over (False).

        Not `for_clients`: until there is something of peers.
        """
        ...

    def wake(self) -> None:
        """Ends the current or next `wait`. Safe to call from other threads and from signal handlers."""
        ...

    def close(self, linger_ms: int = 0) -> None:
        """Ends all connections; `linger_ms` are given to frames that are still queued. May be called twice."""
        ...
