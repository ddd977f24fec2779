"""Every option and limit of the sockets, and why it has its value.

ZeroMQ bounds queues by messages, not by bytes. The most that this process holds for its connections:

- To send: `client_queue_bytes` for one client and `clients_queue_bytes` for all, `peer_queue_bytes` for one replica;
  and for each of them one frame that is being encrypted, and less than 64 KiB that are not counted (`backlog`).
- Received: `client_receive_queue` frames of `client_frame_bytes` for each of `clients` connections, 2 GiB if all are
  hostile; `peer_receive_queue` frames of `peer_frame_bytes` for a replica's connection, 256 MiB, of which each has
  one (`members`). A receiver that is behind lets TCP push back. A connection that ends leaves what it had queued to be
  drained: what `peer_connections_per_second` and the line bring in the time of a round comes on top.
- The kernel's buffers: `client_buffer_bytes`, which it doubles, each way; between replicas what it thinks best.

A client or replica that takes in nothing for `stalled_ms` while something waits for it loses its connection (TCP only).

Two things have no option, in libzmq 4.3.5: a message may have any number of frames, each within the limit, and is
held until its last; and a connection may ask a ROUTER for the very routing id that would have been the next to be
made, one guess in 2^32, which ends the process. Against hostile clients, cap the process's memory and restart it.
"""

from dataclasses import dataclass
from typing import Any, Final

import zmq

from bftledger.net.curve import TransportKey

PEER_DOMAIN: Final = "peers"
CLIENT_DOMAIN: Final = "clients"

_CURVE_OVERHEAD_BYTES: Final = 64
"""At least what encryption adds to a frame (33 bytes: RFC 26, MESSAGE)."""

_NOTHING_EXPECTED_BYTES: Final = 1024
"""Room for the handshake's commands, the largest of which has a few hundred bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one replica's or client's connections."""

    peer_frame_bytes: int = 8 * 1024 * 1024
    """MAXMSGSIZE between replicas: a longer frame ends the connection that it comes from."""

    client_frame_bytes: int = 512 * 1024
    """The same from clients to a replica: the longest transaction, twice."""

    answer_frame_bytes: int = 8 * 1024 * 1024
    """The same from a replica to a client."""

    peer_send_queue: int = 1024
    """SNDHWM: frames that wait for one replica; two windows of votes. More are dropped, the protocol sends again."""

    peer_queue_bytes: int = 32 * 1024 * 1024
    """The same in bytes, half of it for frames above 64 KiB: two windows of votes find room behind them."""

    peer_receive_queue: int = 32
    """RCVHWM: frames of one replica that have arrived and are not yet drained."""

    client_send_queue: int = 256
    """Answers that wait for one client; who does not read them loses more."""

    client_queue_bytes: int = 4 * 1024 * 1024
    """The same in bytes, half of it for answers above 64 KiB; one answer may be longer if nothing else waits."""

    clients_queue_bytes: int = 256 * 1024 * 1024
    """The same for all clients; beyond it only those get answers who read them, and none above 64 KiB."""

    client_buffer_bytes: int = 256 * 1024
    """SNDBUF and RCVBUF of a client's connection: enough for 20 MB/s over 10 ms."""

    client_receive_queue: int = 8
    """Frames of one client that have arrived and are not yet drained."""

    request_queue: int = 1024
    """At a client: requests that wait for one replica, answers that wait for the program."""

    clients: int = 512
    """At most so many client connections are open, unfinished ones included; one more takes another's place. A quarter
    of them may be connections that have sent nothing yet and took the place of one that has."""

    peer_newcomers: int = 16
    """So many connections at the peers' socket, and one for each replica, may have sent nothing yet."""

    peer_connections_per_second: int = 4
    """So often a replica is let in; more often than a line breaks or a replica restarts. A refusal costs it
    `handshake_ms`."""

    stalled_ms: int = 5_000
    """TCP_MAXRT: a connection ends whose other side takes in none of what it was sent for so long."""

    handshake_ms: int = 2_000
    """HANDSHAKE_IVL: a connection that is not authenticated after this time is closed; a refused one is too."""

    backlog: int = 256
    """Connections that the kernel holds until they are accepted."""

    handshakes_per_round: int = 64
    """At most so many handshakes are decided in one `drain` or `wait`."""


def listen(socket: "zmq.Socket[Any]", key: TransportKey, domain: str, limits: Limits) -> None:
    """Options of a replica's bound sockets: CURVE's server side, and the domain for which ZAP asks."""
    peers = domain == PEER_DOMAIN
    socket.curve_server = True
    socket.curve_secretkey = key.secret
    socket.zap_domain = domain.encode()
    socket.backlog = limits.backlog
    socket.maxmsgsize = _CURVE_OVERHEAD_BYTES + (limits.peer_frame_bytes if peers else limits.client_frame_bytes)
    socket.rcvhwm = limits.peer_receive_queue if peers else limits.client_receive_queue
    socket.sndhwm = limits.client_send_queue
    socket.copy_threshold = 0  # every frame that `backlog` wants to watch can be
    if not peers:
        socket.sndbuf = socket.rcvbuf = limits.client_buffer_bytes
    _common(socket, limits)


def connect_to_peer(socket: "zmq.Socket[Any]", key: TransportKey, server_key: bytes, limits: Limits) -> None:
    """Options of a socket that sends to one replica. Nothing ever comes back on it, so next to nothing may."""
    _connect(socket, key, server_key, limits)
    socket.immediate = True  # only to a live connection, and the queue dies with it: stale votes help nobody
    socket.sndhwm = limits.peer_send_queue
    socket.copy_threshold = 0  # as above
    socket.rcvhwm = 1
    socket.maxmsgsize = _NOTHING_EXPECTED_BYTES
    socket.reconnect_ivl = 20  # a replica that restarts is found at once
    socket.reconnect_ivl_max = 200


def connect_to_replica(socket: "zmq.Socket[Any]", key: TransportKey, server_key: bytes, limits: Limits) -> None:
    """Options of a client's socket to one replica. What it sends before the connection is up waits for it."""
    _connect(socket, key, server_key, limits)
    socket.sndhwm = socket.rcvhwm = limits.request_queue
    socket.maxmsgsize = _CURVE_OVERHEAD_BYTES + limits.answer_frame_bytes
    socket.reconnect_ivl = 50
    socket.reconnect_ivl_max = 1_000  # many clients, and a replica at its limit of them


def _connect(socket: "zmq.Socket[Any]", key: TransportKey, server_key: bytes, limits: Limits) -> None:
    socket.curve_serverkey = server_key
    socket.curve_publickey = key.public
    socket.curve_secretkey = key.secret
    socket.connect_timeout = 2_000  # instead of the minutes that the kernel tries
    _common(socket, limits)


def _common(socket: "zmq.Socket[Any]", limits: Limits) -> None:
    socket.linger = 0  # `close` says when to wait for what is queued
    socket.handshake_ivl = limits.handshake_ms
    # No ZMTP heartbeats: in libzmq 4.3.5 one that falls due on a connection whose other end went away while its input
    # was stopped, because the receive queue is full, aborts the process. The kernel finds out as well who is gone.
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = 2  # seconds of silence until the first probe,
    socket.tcp_keepalive_intvl = 1  # between probes,
    socket.tcp_keepalive_cnt = 3  # and probes without an answer until the connection is gone
    socket.tcp_maxrt = limits.stalled_ms  # the same for data that is not taken in


def use_ipv6(socket: "zmq.Socket[Any]", endpoint: str) -> None:
    """Names and wildcards mean IPv4 unless the endpoint is written as an IPv6 address: tcp://[::1]:7001."""
    socket.ipv6 = endpoint.startswith("tcp://[")
