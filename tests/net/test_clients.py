"""Clients at a replica: anyone may come, nobody may take more than a share."""

import threading
import time

import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.options import Limits
from bftledger.net.transport import FromClient, FromPeer, Incoming
from bftledger.net.zmq import ZmqTransport
from tests.net.wires import DEADLINE_S, Socket, Wires, a_client, reachable, receive, until

ZERO = ReplicaId(0)


def answer(client: Socket) -> bytes:
    assert client.raw.poll(int(DEADLINE_S * 1000))
    return client.raw.recv()


def test_any_key_is_served_and_the_answer_finds_its_way_back(wires: Wires) -> None:
    replica = wires.replica(0)
    clients = [a_client(wires, replica) for _ in range(3)]
    for number, client in enumerate(clients):
        client.raw.send(b"request %d" % number)
    for request in receive(replica, 3):
        assert isinstance(request, FromClient)
        assert replica.send_client(request.route, b"answer to " + request.frame)

    assert [answer(client) for client in clients] == [b"answer to request %d" % i for i in range(3)]


def test_nobody_takes_over_the_routing_id_of_another(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    client.raw.send(b"request")
    [request] = receive(replica)
    thief = wires.socket(zmq.DEALER, replica.client_endpoint, server=wires.keys[0])
    thief.raw.routing_id = request.route  # type: ignore[union-attr]
    thief.connect().raw.send(b"give me the answer")
    until(lambda: thief.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), replica)
    replica.send_client(request.route, b"answer")  # type: ignore[union-attr]

    assert answer(client) == b"answer"
    assert not thief.raw.poll(0)


def test_message_of_several_frames_is_dropped_and_counted(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    client.raw.send_multipart([b""] * 1000)
    client.raw.send(b"request")

    assert [request.frame for request in receive(replica)] == [b"request"]
    assert replica.traffic.malformed == 1


def test_oversize_request_ends_its_connection_and_nothing_else(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(client_frame_bytes=1000))
    hostile, client = a_client(wires, replica), a_client(wires, replica)
    until(lambda: client.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), replica)
    hostile.raw.send(bytes(2000))
    received = until(lambda: hostile.saw(zmq.EVENT_DISCONNECTED), replica)
    client.raw.send(bytes(1000))

    assert received == []
    assert [request.frame for request in receive(replica)] == [bytes(1000)]


def test_answer_to_a_client_that_left_is_dropped_and_counted(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    client.raw.send(b"request")
    [request] = receive(replica)
    client.raw.close()
    until(lambda: not replica.send_client(request.route, b"answer"), replica)  # type: ignore[union-attr]

    assert replica.traffic.dropped_to_clients == 1


def test_flood_of_one_client_delays_neither_peers_nor_other_clients(wires: Wires) -> None:
    replica, peer = wires.replica(0), wires.replica(1)
    peer.connect(ZERO, replica.peer_endpoint)
    flooder, client = a_client(wires, replica), a_client(wires, replica)
    until(lambda: bool(reachable(peer)) and client.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), replica)
    for _ in range(500):
        flooder.raw.send(b"flood")
    flood = receive(replica, 1)
    peer.send_peer(ZERO, b"vote")
    client.raw.send(b"request")
    deadline = time.monotonic() + DEADLINE_S
    rounds = [flood]
    while not {b"vote", b"request"} <= {incoming.frame for batch in rounds for incoming in batch}:
        assert time.monotonic() < deadline
        replica.wait(5)
        rounds.append(replica.drain(max_messages=8))

    assert all(len(batch) <= 16 for batch in rounds[1:])
    for batch in rounds:
        if any(isinstance(incoming, FromPeer) for incoming in batch):
            assert isinstance(batch[0], FromPeer)


def test_drain_stops_after_the_bytes_it_is_allowed(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    for _ in range(6):
        client.raw.send(bytes(1000))
    sizes: list[int] = []
    while sum(sizes) < 6:
        assert replica.wait(int(DEADLINE_S * 1000))
        sizes.append(len(replica.drain(max_bytes=1500)))

    assert max(sizes) <= 2


def test_wake_from_another_thread_ends_the_wait(wires: Wires) -> None:
    replica = wires.replica(0)
    waker = threading.Thread(target=replica.wake)
    waker.start()
    woken = replica.wait(int(DEADLINE_S * 1000))
    waker.join()

    assert woken
    assert not replica.wait(0)


def test_wakes_before_the_wait_count_once(wires: Wires) -> None:
    replica = wires.replica(0)
    for _ in range(10_000):
        replica.wake()

    assert replica.wait(int(DEADLINE_S * 1000))
    assert not replica.wait(0)


def test_close_may_be_called_twice_and_wake_after_it(wires: Wires) -> None:
    replica = wires.replica(0)
    replica.close()
    replica.close()
    replica.wake()


def test_requests_that_are_not_to_be_received_wait_and_wake_nobody(wires: Wires) -> None:
    replica, peer = wires.replica(0), wires.replica(1)
    peer.connect(ZERO, replica.peer_endpoint)
    client = a_client(wires, replica)
    until(lambda: bool(reachable(peer)), replica)
    client.raw.send(b"first")
    receive(replica)
    client.raw.send(b"second")
    until_ready(replica)
    assert not replica.wait(0, for_clients=False)
    assert replica.drain() == []
    peer.send_peer(ZERO, b"vote")
    assert replica.wait(int(DEADLINE_S * 1000), for_clients=False)

    assert [incoming.frame for incoming in replica.drain()] == [b"vote"]
    assert [incoming.frame for incoming in receive(replica)] == [b"second"]


def test_messages_of_several_frames_count_with_their_bytes(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    for _ in range(4):
        client.raw.send_multipart([b"", bytes(2_000)])
    client.raw.send(b"request")
    received: list[Incoming] = []
    while not received:
        before = replica.traffic.malformed
        replica.wait(5)
        received = replica.drain(max_request_bytes=1_000)
        assert replica.traffic.malformed <= before + 1

    assert replica.traffic.malformed == 4


def test_no_more_requests_are_received_than_may_be(wires: Wires) -> None:
    replica = wires.replica(0)
    client = a_client(wires, replica)
    for _ in range(6):
        client.raw.send(bytes(1000))
    until_ready(replica)
    assert replica.drain(max_requests=0) == []
    sizes: list[int] = []
    while sum(sizes) < 6:
        assert replica.wait(int(DEADLINE_S * 1000))
        sizes.append(len(replica.drain(max_requests=2) if len(sizes) % 2 else replica.drain(max_request_bytes=1500)))

    assert max(sizes) <= 2


def until_ready(replica: ZmqTransport) -> None:
    """Waits until a request has come, and leaves it where it is."""
    assert replica.wait(int(DEADLINE_S * 1000))
