"""What waits for who does not read: bounded in bytes, and small frames find room behind large ones."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.backlog import BULK_BYTES, MARK_BYTES, Backlogs
from bftledger.net.options import Limits
from bftledger.net.transport import FromClient
from bftledger.net.zmq import ZmqTransport
from tests.net.wires import DEADLINE_S, Socket, Wires, a_client, reachable, receive, until

ONE, TWO = ReplicaId(1), ReplicaId(2)
MIB = 1024 * 1024
TIGHT = Limits(client_queue_bytes=4 * MIB, clients_queue_bytes=5 * MIB, peer_queue_bytes=8 * MIB)


def who_does_not_read(wires: Wires, replica: ZmqTransport) -> bytes:
    """The route of a client whose kernel and ZeroMQ take in next to nothing."""
    socket = wires.socket(zmq.DEALER, replica.client_endpoint, server=wires.keys[0])
    socket.raw.rcvhwm = 1
    socket.raw.rcvbuf = 4096
    socket.connect().raw.send(b"request")
    [request] = receive(replica)
    assert isinstance(request, FromClient)
    return request.route


def a_replica_that_does_not_read(wires: Wires, sender: ZmqTransport) -> None:
    """Replica 1."""
    socket = wires.socket_without_curve(zmq.PULL, "")
    socket.raw.curve_server = True
    socket.raw.curve_secretkey = wires.keys[1].secret
    socket.raw.rcvhwm = 1
    socket.raw.rcvbuf = 4096
    port = socket.raw.bind_to_random_port("tcp://127.0.0.1")
    sender.connect(ONE, f"tcp://127.0.0.1:{port}")
    until(lambda: ONE in reachable(sender), sender)


def fill(replica: ZmqTransport, route: bytes, size: int) -> int:
    """Sends answers of `size` bytes until one does not find room; how many did."""
    taken = 0
    while replica.send_client(route, bytes(size)):
        taken += 1
    return taken


def answer(client: Socket) -> bytes:
    assert client.raw.poll(int(DEADLINE_S * 1000))
    return client.raw.recv()


def test_large_answers_for_a_client_that_does_not_read_have_half_of_its_bytes(wires: Wires) -> None:
    replica = wires.replica(0, limits=TIGHT)
    taken = fill(replica, who_does_not_read(wires, replica), MIB)

    assert 2 <= taken <= 4  # one or two have left for the kernel
    assert replica.traffic.dropped_to_clients == 1


def test_small_answers_find_room_behind_large_ones_until_the_queue_is_full(wires: Wires) -> None:
    replica = wires.replica(0, limits=TIGHT)
    route = who_does_not_read(wires, replica)
    fill(replica, route, MIB)
    taken = fill(replica, route, 200)

    assert 100 <= taken <= TIGHT.client_send_queue


def test_middling_answers_are_bounded_in_bytes_too(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(client_send_queue=100_000, client_queue_bytes=4 * MIB))
    taken = fill(replica, who_does_not_read(wires, replica), 10_000)

    assert 4 * MIB - MARK_BYTES <= taken * 10_000 <= 6 * MIB


class Lines:
    """Receivers in this process: what they have not read is still queued, neither more nor less."""

    def __init__(self, stack: ExitStack, *, each: int, total: int) -> None:
        self._stack = stack
        self._context = stack.enter_context(zmq.Context())
        self._sockets: dict[str, tuple[zmq.Socket[bytes], zmq.Socket[bytes]]] = {}
        self.backlogs = Backlogs[str](each=each, total=total)

    def send(self, to: str, size: int) -> bool:
        if to not in self._sockets:
            sender = self._stack.enter_context(self._context.socket(zmq.PUSH))
            receiver = self._stack.enter_context(self._context.socket(zmq.PULL))
            sender.sndhwm = receiver.rcvhwm = sender.linger = sender.copy_threshold = 0
            sender.bind(f"inproc://{to}")
            receiver.connect(f"inproc://{to}")
            self._sockets[to] = sender, receiver
        if not self.backlogs.has_room(to, size):
            return False
        self.backlogs.send(to, self._sockets[to][0], bytes(size))
        return True

    def read(self, to: str, frames: int) -> None:
        for _ in range(frames):
            self._sockets[to][1].recv(zmq.NOBLOCK)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_bulk_has_half_of_a_receivers_bytes_and_small_frames_all(stack: ExitStack) -> None:
    lines = Lines(stack, each=4 * MIB, total=100 * MIB)

    assert sum(lines.send("a", MIB) for _ in range(10)) == 2
    assert sum(lines.send("a", BULK_BYTES) for _ in range(100)) == 2 * MIB // BULK_BYTES
    assert not lines.send("a", 1)
    assert lines.send("b", MIB)


def test_one_frame_may_be_larger_than_all_that_a_receiver_has(stack: ExitStack) -> None:
    lines = Lines(stack, each=MIB, total=100 * MIB)
    lines.send("a", 100)

    assert lines.send("a", 8 * MIB)
    assert not lines.send("a", 1)


def test_what_was_read_makes_room_again(stack: ExitStack) -> None:
    lines = Lines(stack, each=4 * MIB, total=100 * MIB)
    while lines.send("a", 1_000):
        pass
    lines.read("a", 4_000)
    until(lambda: lines.send("a", MIB))

    assert lines.backlogs.marked >= MIB


def test_receivers_together_are_bounded_and_who_reads_gets_small_frames_all_the_same(stack: ExitStack) -> None:
    lines = Lines(stack, each=4 * MIB, total=6 * MIB)
    stuck = [lines.send(to, MIB) for _ in range(4) for to in "abcdefgh"]

    assert sum(stuck) == 6
    assert lines.backlogs.marked == 6 * MIB
    assert not any(lines.send(to, 100) for to in "abcdef")
    assert not lines.send("reader", BULK_BYTES + 1)
    assert lines.send("reader", BULK_BYTES)


def test_receivers_that_have_gone_are_forgotten(stack: ExitStack) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender, context.socket(zmq.PULL) as receiver:
        sender.linger = 0
        sender.sndhwm = receiver.rcvhwm = 0
        sender.bind("inproc://frames")
        receiver.connect("inproc://frames")
        backlogs = Backlogs[int](each=MIB, total=MIB)
        for receiver_id in range(10_000):
            backlogs.send(receiver_id, sender, b"answer")
            backlogs.settle()

    assert len(backlogs) < 5_000


def test_bytes_of_a_client_that_left_are_free_again(wires: Wires) -> None:
    replica = wires.replica(0, limits=TIGHT)
    hostile = wires.socket(zmq.DEALER, replica.client_endpoint, server=wires.keys[0])
    hostile.raw.rcvhwm = 1
    hostile.connect().raw.send(b"request")
    [request] = receive(replica)
    assert isinstance(request, FromClient)
    fill(replica, request.route, 40_000)
    hostile.raw.close()
    backlogs = replica._client_backlogs

    until(
        lambda: backlogs.marked <= TIGHT.clients_queue_bytes // 2 and not replica.send_client(request.route, b""),
        replica,
    )


def test_client_that_takes_in_nothing_loses_its_connection(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(stalled_ms=300))
    route = who_does_not_read(wires, replica)

    until(lambda: fill(replica, route, MIB) == 0 and len(replica._client_connections) == 0, replica)


def test_client_that_reads_gets_any_number_of_large_answers(wires: Wires) -> None:
    replica = wires.replica(0, limits=TIGHT)
    client = a_client(wires, replica)
    client.raw.send(b"request")
    [request] = receive(replica)
    assert isinstance(request, FromClient)
    for number in range(20):
        answers = [b"%d" % number + bytes(MIB) for _ in range(2)]
        until(lambda: replica.send_client(request.route, answers[0]), replica)  # noqa: B023
        until(lambda: replica.send_client(request.route, answers[1]), replica)  # noqa: B023

        assert [answer(client), answer(client)] == answers


def test_votes_find_room_behind_blocks_for_a_replica_that_does_not_read(wires: Wires) -> None:
    zero, two = wires.replica(0, limits=TIGHT), wires.replica(2)
    a_replica_that_does_not_read(wires, zero)
    zero.connect(TWO, two.peer_endpoint)
    until(lambda: TWO in reachable(zero), zero, two)
    blocks = sum(zero.send_peer(ONE, bytes(2 * MIB)) for _ in range(100))
    votes = sum(zero.send_peer(ONE, bytes(200)) for _ in range(500))

    assert 2 <= blocks <= 4
    assert votes == 500
    assert zero.send_peer(TWO, b"vote")
    assert [incoming.frame for incoming in receive(two)] == [b"vote"]


def test_thousands_of_frames_that_are_freed_at_once_do_not_stop_the_process(stack: ExitStack) -> None:
    """At pyzmq's own limit of 1,000 reports, the thread that frees the frames would wait for ever."""
    lines = Lines(stack, each=1 << 40, total=1 << 40)
    for _ in range(5_000):
        lines.send("a", MARK_BYTES)
    lines.read("a", 5_000)

    until(lambda: lines.backlogs.has_room("a", 1 << 39) and lines.backlogs.marked == 0)
