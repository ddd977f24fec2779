"""Between replicas: who a frame is from, who gets in, and what a slow or absent replica costs the others."""

from functools import partial

import pytest
import zmq

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey
from bftledger.net.options import Limits
from bftledger.net.transport import FromPeer
from bftledger.net.zmq import ZmqTransport
from tests.net.wires import TCP, Wires, reachable, receive, until

ZERO, ONE, TWO = ReplicaId(0), ReplicaId(1), ReplicaId(2)
SHORT_HANDSHAKE = Limits(handshake_ms=300)
FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
)


def test_sender_is_named_by_its_key_whatever_its_frame_says(wires: Wires) -> None:
    receiver, one, two = wires.replica(0), wires.replica(1), wires.replica(2)
    for sender in (one, two):
        sender.connect(ZERO, receiver.peer_endpoint)
    until(lambda: bool(reachable(one) and reachable(two)), receiver)
    one.send_peer(ZERO, b"I am replica 2")
    two.send_peer(ZERO, b"I am replica 1")

    assert set(receive(receiver, 2)) == {FromPeer(ONE, b"I am replica 2"), FromPeer(TWO, b"I am replica 1")}


def test_socket_with_a_replicas_key_is_that_replica_whatever_routing_id_it_claims(wires: Wires) -> None:
    receiver = wires.replica(0)
    two = wires.socket(zmq.PUSH, receiver.peer_endpoint, server=wires.keys[0], key=wires.keys[2])
    two.raw.routing_id = b"1"
    two.connect().raw.send(b"vote")

    assert receive(receiver) == [FromPeer(TWO, b"vote")]


def test_unknown_transport_key_gets_no_connection_to_the_peer_socket(wires: Wires) -> None:
    receiver = wires.replica(0, limits=SHORT_HANDSHAKE)
    stranger = wires.socket(zmq.PUSH, receiver.peer_endpoint, server=wires.keys[0])
    stranger.connect().raw.send(b"let me in")
    received = until(lambda: stranger.saw(*FAILED), receiver)

    assert received == []
    assert receiver.traffic.refused_connections > 0
    assert not stranger.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED)


def test_key_that_is_welcome_as_a_client_is_refused_as_a_peer(wires: Wires) -> None:
    receiver = wires.replica(0, limits=SHORT_HANDSHAKE)
    key = TransportKey.generate()
    client = wires.socket(zmq.DEALER, receiver.client_endpoint, server=wires.keys[0], key=key).connect()
    until(lambda: client.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), receiver)
    impostor = wires.socket(zmq.PUSH, receiver.peer_endpoint, server=wires.keys[0], key=key)
    impostor.connect().raw.send(b"vote")
    received = until(lambda: impostor.saw(*FAILED), receiver)

    assert received == []
    assert receiver.traffic.refused_connections > 0
    assert not impostor.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED)


def test_socket_without_curve_gets_no_connection(wires: Wires) -> None:
    receiver = wires.replica(0)
    for endpoint in (receiver.peer_endpoint, receiver.client_endpoint):
        plain = wires.socket_without_curve(zmq.PUSH, endpoint)
        plain.connect().raw.send(b"let me in")
        received = until(partial(plain.saw, *FAILED), receiver)

        assert received == []
        assert not plain.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED)


def test_nothing_is_sent_to_another_at_a_replicas_address(wires: Wires) -> None:
    """The sender asks for the key of the replica it means; whoever listens there without it learns nothing."""
    sender, two = wires.replica(0), wires.replica(2)
    sender.connect(ONE, two.peer_endpoint)
    sender.connect(TWO, two.peer_endpoint)
    until(lambda: TWO in reachable(sender), sender, two)

    assert not sender.send_peer(ONE, b"for one")
    assert sender.send_peer(TWO, b"for two")
    assert receive(two) == [FromPeer(ZERO, b"for two")]
    assert sender.traffic.dropped_to_peers == {1: 1, 2: 0, 3: 0}


def test_oversize_frame_ends_its_connection_and_nothing_else(wires: Wires) -> None:
    receiver = wires.replica(0, limits=Limits(peer_frame_bytes=1000))
    one, two = wires.replica(1), wires.replica(2)
    for sender in (one, two):
        sender.connect(ZERO, receiver.peer_endpoint)
    until(lambda: bool(reachable(one) and reachable(two)), receiver)
    one.send_peer(ZERO, bytes(2000))
    until(lambda: not reachable(one), receiver)
    two.send_peer(ZERO, bytes(1000))

    assert receive(receiver) == [FromPeer(TWO, bytes(1000))]
    until(lambda: one.send_peer(ZERO, b"back again"), receiver)
    assert receive(receiver) == [FromPeer(ONE, b"back again")]


def test_frame_over_the_limit_is_not_sent(wires: Wires) -> None:
    zero, one = wires.pair(Limits(peer_frame_bytes=1000))

    assert not zero.send_peer(ONE, bytes(1001))
    assert zero.send_peer(ONE, bytes(1000))
    assert receive(one) == [FromPeer(ZERO, bytes(1000))]


def test_message_of_several_frames_is_dropped_and_counted(wires: Wires) -> None:
    receiver = wires.replica(0)
    one = wires.socket(zmq.PUSH, receiver.peer_endpoint, server=wires.keys[0], key=wires.keys[1]).connect()
    one.raw.send_multipart([b"a", b"b", b"c"])
    one.raw.send(b"vote")

    assert receive(receiver) == [FromPeer(ONE, b"vote")]
    assert receiver.traffic.malformed == 1


def test_replica_that_does_not_read_loses_frames_and_delays_nobody(wires: Wires) -> None:
    limits = Limits(peer_send_queue=4, peer_receive_queue=4)
    zero, stuck, two = (wires.replica(i, limits=limits) for i in range(3))
    zero.connect(ONE, stuck.peer_endpoint)
    zero.connect(TWO, two.peer_endpoint)
    until(lambda: reachable(zero) == {1, 2}, stuck, two)
    until(lambda: not zero.send_peer(ONE, bytes(1024 * 1024)) and reachable(zero) == {2}, two)

    assert zero.traffic.dropped_to_peers[ONE] > 0
    assert zero.traffic.dropped_to_peers[TWO] == 0
    assert zero.send_peer(TWO, b"vote")
    assert receive(two) == [FromPeer(ZERO, b"vote")]


def test_frames_for_a_replica_that_is_not_there_are_dropped_and_counted(wires: Wires) -> None:
    zero = wires.replica(0)
    zero.connect(ONE, f"ipc://{wires.directory}/nobody")

    assert reachable(zero) == frozenset()
    assert not zero.send_peer(ONE, b"vote")
    assert not zero.send_peer(TWO, b"vote")
    assert zero.traffic.dropped_to_peers == {1: 1, 2: 1, 3: 0}


def test_restarted_replica_is_found_again_and_gets_no_stale_frames(wires: Wires) -> None:
    zero, one = wires.pair()
    address = one.peer_endpoint
    one.close()
    until(lambda: not reachable(zero), zero)
    zero.send_peer(ONE, b"stale")
    restarted = wires.replica(1, peer_bind=address)
    restarted.connect(ZERO, zero.peer_endpoint)
    until(lambda: bool(reachable(zero) and reachable(restarted)), zero, restarted)
    zero.send_peer(ONE, b"to the new")
    restarted.send_peer(ZERO, b"from the new")

    assert receive(restarted) == [FromPeer(ZERO, b"to the new")]
    assert receive(zero) == [FromPeer(ONE, b"from the new")]


def test_replica_that_was_refused_is_let_in_once_it_is_known(wires: Wires) -> None:
    """A replica of another genesis at the peer's address is no reason to give the address up."""
    sender = wires.replica(0, limits=SHORT_HANDSHAKE)
    stranger = ZmqTransport(key=wires.keys[1], peers={}, peer_bind=TCP, client_bind=TCP, limits=SHORT_HANDSHAKE)
    with stranger:
        sender.connect(ONE, stranger.peer_endpoint)
        until(lambda: stranger.traffic.refused_connections > 0, stranger)
    one = wires.replica(1, peer_bind=stranger.peer_endpoint)
    until(lambda: sender.send_peer(ONE, b"vote"), one)

    assert receive(one) == [FromPeer(ZERO, b"vote")]


def test_replica_can_move_to_another_address(wires: Wires) -> None:
    zero, one = wires.pair()
    one.close()
    moved = wires.replica(1)
    zero.connect(ONE, moved.peer_endpoint)
    until(lambda: zero.send_peer(ONE, b"found you"), zero, moved)

    assert receive(moved) == [FromPeer(ZERO, b"found you")]


def test_frames_travel_over_ipc(wires: Wires) -> None:
    receiver, sender = wires.replica(0, peer_bind=f"ipc://{wires.directory}/zero"), wires.replica(1)
    sender.connect(ZERO, receiver.peer_endpoint)
    until(lambda: sender.send_peer(ZERO, b"vote"), receiver)

    assert receive(receiver) == [FromPeer(ONE, b"vote")]


def test_two_replicas_with_one_transport_key_are_refused() -> None:
    key = TransportKey.generate()
    with pytest.raises(OperatorError, match="same transport key"):
        ZmqTransport(key=key, peers={ONE: key.public}, peer_bind="ipc://unused", client_bind="ipc://unused")
