"""What strangers can do to running replicas: cost them a little time, and nothing else."""

import asyncio
import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from bftledger.base import cbor
from bftledger.base.ids import Seq, View
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskHeight,
    AskStatus,
    ErrorReply,
    Query,
    StatusReply,
    Submit,
)
from bftledger.ledger.client_wire import decode_reply, encode
from bftledger.net.curve import TransportKey
from bftledger.pbft import wire
from bftledger.pbft.messages import Prepare, PrePrepare, Relay, Status
from bftledger.pbft.proposals import NULL_PROPOSAL
from tests.processes.group import ALL, DEADLINE_S, Observer, Processes, signer

SEED = 20_250_521
FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_DISCONNECTED,
)
AWAY = 3
"""This replica does not run: somebody else has got hold of its transport key, or claims to."""


class Stranger:
    """A raw CURVE socket to one endpoint of a replica, and what its handshakes come to."""

    def __init__(self, kind: int, endpoint: str, server_key: bytes, key: TransportKey) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.linger = 0
        self.socket.sndtimeo = self.socket.rcvtimeo = round(DEADLINE_S * 1_000)
        self.socket.curve_serverkey = server_key
        self.socket.curve_publickey, self.socket.curve_secretkey = key.public, key.secret
        self._monitor = self.socket.get_monitor_socket()
        self.socket.connect(endpoint)

    def next_handshake(self) -> bool:
        """Waits for the next handshake to end: whether it succeeded."""
        while self._monitor.poll(round(DEADLINE_S * 1_000)):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return True
            if event in FAILED:
                return False
        raise AssertionError("the handshake does not end")

    def close(self) -> None:
        self.socket.disable_monitor()
        self._context.destroy(0)


@contextmanager
def peer(group: Processes, replica: int, key: TransportKey) -> Iterator[Stranger]:
    """Somebody who speaks to a replica as its peers do, with this transport key."""
    endpoint, server_key = group.home.config.replicas[replica].peer, group.home.genesis.replicas[replica].transport_key
    with closing(Stranger(zmq.PUSH, endpoint, server_key, key)) as stranger:
        yield stranger


@contextmanager
def client(group: Processes, replica: int) -> Iterator[Stranger]:
    """Somebody who speaks to a replica as clients do."""
    endpoint, server_key = (
        group.home.config.replicas[replica].client,
        group.home.genesis.replicas[replica].transport_key,
    )
    with closing(Stranger(zmq.DEALER, endpoint, server_key, TransportKey.generate())) as stranger:
        yield stranger


def test_unknown_transport_key_gets_no_connection_to_the_peer_socket(group: Processes) -> None:
    group.start(0, 1, 2)
    asyncio.run(_commit(group))
    with peer(group, 0, TransportKey.generate()) as stranger:
        assert not stranger.next_handshake()
        assert not stranger.next_handshake()  # it tries again by itself
    with peer(group, 0, group.home.secrets(AWAY).transport) as known:
        assert known.next_handshake()

    asyncio.run(_commit(group))


def test_garbage_from_clients_is_answered_or_dropped_and_stops_nothing(group: Processes) -> None:
    group.start(0, 1, 2)
    asyncio.run(_commit(group))
    for replica in group.running:
        with client(group, replica) as hostile:
            sent = list(_hostile_requests())
            for frame in sent:
                hostile.socket.send(frame)
            hostile.socket.send_multipart([b"several", b"frames"])
            hostile.socket.send(encode(AskStatus(request_id=7)))  # requests of one client are answered in order
            refused = 0
            while not isinstance(reply := decode_reply(hostile.socket.recv()), StatusReply):
                refused += isinstance(reply, ErrorReply)
            assert refused > len(sent) // 2

            hostile.socket.send(bytes(1024 * 1024))  # longer than any request: its connection ends
            assert hostile.next_handshake()
            assert not hostile.next_handshake()
        _speak_no_zeromq(group.home.config.replicas[replica].client)

    asyncio.run(_commit(group))


def test_garbage_from_a_peer_is_dropped_and_stops_nothing(group: Processes) -> None:
    """Who has a replica's transport key but not its signing key can send whatever it likes."""
    group.start(0, 1, 2)
    asyncio.run(_commit(group))
    for replica in group.running:
        with peer(group, replica, group.home.secrets(AWAY).transport) as hostile:
            for frame in _hostile_messages(group):
                hostile.socket.send(frame)
            hostile.socket.send_multipart([b"several", b"frames"])
        _speak_no_zeromq(group.home.config.replicas[replica].peer)

    asyncio.run(_commit(group))


async def _commit(group: Processes) -> None:
    """The group is what it should be: it commits, and no process has ended."""
    async with group.client() as honest, Observer(group) as observer:
        await observer.ready()
        outcome = await honest.submit("put", "color", "blue")
        assert outcome.ok, outcome
        assert len(await observer.ready()) == len(group.running)


def _hostile_requests() -> Iterator[bytes]:
    dice = random.Random(SEED)
    requests = [
        encode(request)
        for request in (
            Submit(request_id=2, transaction=dice.randbytes(300)),
            Query(request_id=3, args=dice.randbytes(100), certified=True, minimum=Seq(0)),
            AskHeight(request_id=4, minimum=Seq((1 << 63) - 1)),
            AskBlock(request_id=5, height=Seq((1 << 63) - 1)),
            AskBlocks(request_id=6, count=256),
        )
    ]
    yield from requests
    yield from _spoilt(requests, dice)


def _hostile_messages(group: Processes) -> Iterator[bytes]:
    dice = random.Random(SEED)
    forger, genesis_hash = signer("forger"), group.home.genesis.genesis_hash
    digest = group.home.genesis.genesis_hash
    forged = [
        wire.encode(wire.sign(message, forger, genesis_hash))
        for replica in ALL
        for message in (
            Prepare(view=View(0), seq=Seq(2), digest=digest, replica=replica, signature=wire.UNSIGNED),
            PrePrepare(
                view=View(0),
                seq=Seq(2),
                digest=NULL_PROPOSAL.digest,
                replica=replica,
                signature=wire.UNSIGNED,
                proposal=NULL_PROPOSAL,
            ),
            Relay(transactions=(), replica=replica, signature=wire.UNSIGNED),
            Status(
                view=View(9),
                active=True,
                stable=Seq(10**6),
                executed=Seq(10**6),
                slots=(),
                view_changes=15,
                replica=replica,
                signature=wire.UNSIGNED,
            ),
        )
    ]
    yield from forged
    yield from _spoilt(forged, dice)


def _spoilt(frames: list[bytes], dice: random.Random) -> Iterator[bytes]:
    """Random bytes, truncations, changed bytes, lengths that lie, nesting, and values of wrong types."""
    yield b""
    for _ in range(50):
        frame = bytearray(dice.choice(frames))
        yield bytes(frame[: dice.randrange(len(frame))])
        frame[dice.randrange(len(frame))] ^= dice.randrange(1, 256)
        yield bytes(frame)
        yield dice.randbytes(dice.randrange(1, 2_000))
    for length_bomb in (b"\x9b", b"\x5b", b"\x7b", b"\xbb"):
        yield length_bomb + b"\x7f" + b"\xff" * 7
    yield b"\x81" * 100_000
    yield b"\x9f" * 100_000
    yield cbor.encode([0] * 10_000)
    odd: tuple[Any, ...] = (None, True, -1, "text", {"a": 1}, [[]], [None, None, None], [1, [], b""], [255, 1, 2])
    yield from (cbor.encode(value) for value in odd)


def _speak_no_zeromq(endpoint: str) -> None:
    """Connects by plain TCP, says things that are no ZeroMQ handshake, and leaves."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL".ljust(64, b"\0")):
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as plain:
            plain.sendall(said)
