"""The driver and its timers, with a transport that is a list and a clock that stands still until it is moved."""

import time
from collections.abc import Callable

import pytest

from bftledger.base import cbor
from bftledger.base.errors import StoreError
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.engine.engine import Halted, Round
from bftledger.engine.forgers import BURST
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskReceipt, AskStatus, StatusReply, Submit
from bftledger.net.transport import DRAIN_MESSAGES, FromClient, FromPeer, Incoming, Traffic
from bftledger.node import clock
from bftledger.node.clock import Timers
from bftledger.node.driver import IDLE_MS, Driver, count
from bftledger.node.pace import MAX_PAUSE_S, REQUESTS_UNDER_PRESSURE
from bftledger.pbft import messages, wire
from bftledger.pbft.effects import StartTimer, StopTimer
from bftledger.pbft.messages import Checkpoint, PrePrepare, Stable, Status
from bftledger.pbft.timers import BatchTimer, NewViewTimer, RequestTimer, StatusTimer
from tests.engine.engines import ME, Engines


class Clock:
    """Both clocks of this computer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_700_000_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(time, "time_ns", lambda: int(self.seconds * 1_000_000_000))

    def pass_ms(self, ms: int) -> None:
        self.seconds += ms / 1_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class FakeTransport:
    """Notes what is sent; `script` says what happens in each wait, and the driver stops when it is over."""

    def __init__(self, now: Clock, *script: Callable[[int], list[Incoming]]) -> None:
        self.to_peers: list[tuple[ReplicaId, bytes]] = []
        self.to_clients: list[tuple[bytes, bytes]] = []
        self.ended: list[bytes] = []
        self.waits: list[int] = []
        self.for_clients: list[bool] = []
        self.may_receive: list[int] = []
        """Requests, in each drain."""
        self.drain_ms = 0
        """So long does it take to receive something."""
        self.wakes = 0
        self.traffic = Traffic()
        self.driver: Driver | None = None
        self._now = now
        self._script = list(script)
        self._arrived: list[Incoming] = []

    def send_peer(self, replica: ReplicaId, frame: bytes) -> bool:
        self.to_peers.append((replica, frame))
        return True

    def send_client(self, route: bytes, frame: bytes) -> bool:
        self.to_clients.append((route, frame))
        return True

    def end_client(self, route: bytes) -> None:
        self.ended.append(route)

    def drain(
        self, max_messages: int = 0, max_bytes: int = 0, *, max_requests: int = 0, max_request_bytes: int = 0
    ) -> list[Incoming]:
        self.may_receive.append(max_requests)
        arrived, self._arrived = self._arrived, []
        self._now.pass_ms(self.drain_ms if arrived else 0)
        return arrived

    def wait(self, timeout_ms: int, *, for_clients: bool = True) -> bool:
        self.waits.append(timeout_ms)
        self.for_clients.append(for_clients)
        if not self._script:
            assert self.driver is not None
            self.driver.stop()
            return True
        self._arrived += self._script.pop(0)(timeout_ms)
        return bool(self._arrived)

    def wake(self) -> None:
        self.wakes += 1

    def close(self, linger_ms: int = 0) -> None:
        pass


def drive(group: Engines, transport: FakeTransport) -> FakeTransport:
    transport.driver = Driver(group.new_engine(0), transport)
    transport.driver.run()
    return transport


def kinds(group: Engines, transport: FakeTransport) -> list[type]:
    return [type(wire.decode(frame, group.genesis.genesis_hash)) for _, frame in transport.to_peers]


# ── timers ──


def start(timer: RequestTimer | NewViewTimer | BatchTimer | StatusTimer, ms: int) -> StartTimer:
    return StartTimer(timer, Millis(ms))


def test_a_timer_runs_out_once_and_not_before_its_time(now: Clock) -> None:
    timers = Timers()
    timers.apply(start(StatusTimer(), 100))

    now.pass_ms(99)
    assert timers.take_expired() == []
    now.pass_ms(1)
    assert timers.take_expired() == [StatusTimer()]
    assert timers.take_expired() == []


def test_starting_a_timer_again_replaces_the_one_of_its_class(now: Clock) -> None:
    timers = Timers()
    timers.apply(start(NewViewTimer(View(1)), 100))
    now.pass_ms(90)
    timers.apply(start(NewViewTimer(View(2)), 100))

    now.pass_ms(50)
    assert timers.take_expired() == []
    now.pass_ms(50)
    assert timers.take_expired() == [NewViewTimer(View(2))]


def test_a_stopped_timer_does_not_run_out_and_others_do(now: Clock) -> None:
    timers = Timers()
    timers.apply(start(BatchTimer(View(0)), 10))
    timers.apply(start(StatusTimer(), 10))
    timers.apply(StopTimer(BatchTimer))
    timers.apply(StopTimer(NewViewTimer))

    now.pass_ms(20)
    assert timers.take_expired() == [StatusTimer()]


def test_timers_run_out_in_the_order_of_their_times(now: Clock) -> None:
    timers = Timers()
    request = RequestTimer(View(0), TxId(bytes(32)), relayed=False)
    timers.apply(start(StatusTimer(), 30))
    timers.apply(start(request, 10))
    timers.apply(start(BatchTimer(View(0)), 20))

    now.pass_ms(40)
    assert timers.take_expired() == [request, BatchTimer(View(0)), StatusTimer()]


def test_the_sleep_ends_with_the_first_timer_and_never_with_too_early_a_look(now: Clock) -> None:
    timers = Timers()
    assert timers.until_next_ms(1_000) == 1_000
    timers.apply(start(StatusTimer(), 30))
    timers.apply(start(BatchTimer(View(0)), 700))

    asleep = timers.until_next_ms(1_000)
    assert 30 <= asleep <= 31
    now.pass_ms(asleep)
    assert timers.take_expired() == [StatusTimer()]
    assert timers.until_next_ms(500) == 500
    now.pass_ms(5_000)
    assert timers.until_next_ms(500) == 0


def test_a_jump_of_the_wall_clock_fires_nothing(now: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers()
    timers.apply(start(StatusTimer(), 30))
    monkeypatch.setattr(time, "time_ns", lambda: 0)

    assert timers.take_expired() == []
    assert clock.wall_ms() == 0


# ── the loop ──


def test_the_driver_starts_the_replica_before_it_waits(now: Clock) -> None:
    group = Engines()
    transport = drive(group, FakeTransport(now))

    assert kinds(group, transport) == [Status] * 3
    assert [to for to, _ in transport.to_peers] == [1, 2, 3]
    assert len(transport.waits) == 1
    assert 0 < transport.waits[0] <= IDLE_MS


def test_what_arrives_together_shares_a_round_and_answers_leave_by_their_routes(now: Clock) -> None:
    group = Engines()
    question = client_wire.encode(AskStatus(request_id=3))
    both: list[Incoming] = [FromClient(b"one", question), FromClient(b"two", question)]
    transport = drive(group, FakeTransport(now, lambda _: both))

    assert [route for route, _ in transport.to_clients] == [b"one", b"two"]
    assert isinstance(client_wire.decode_reply(transport.to_clients[0][1]), StatusReply)


def test_the_driver_sleeps_until_a_timer_and_fires_it(now: Clock) -> None:
    group = Engines()

    def sleep(timeout_ms: int) -> list[Incoming]:
        now.pass_ms(timeout_ms)
        return []

    transport = drive(group, FakeTransport(now, sleep, sleep, sleep))

    assert kinds(group, transport).count(Status) >= 3 * 3


def test_what_a_round_had_no_time_for_is_done_in_the_next_and_nobody_sleeps_before(now: Clock) -> None:
    group = Engines()
    garbage: list[Incoming] = [FromClient(b"much", bytes(60_000)) for _ in range(40)]
    transport = drive(group, FakeTransport(now, lambda _: garbage, lambda _: [], lambda _: []))

    assert transport.waits[1:3] == [0, 0]
    assert len(transport.to_clients) == 40


def test_when_the_disk_fails_the_driver_sends_nothing_of_the_round(now: Clock) -> None:
    group = Engines()

    def submit(_: int) -> list[Incoming]:
        group.store(0).is_broken = True
        tx = group.transaction()
        return [FromClient(ME, client_wire.encode(Submit(request_id=1, transaction=tx.encoded)))]

    transport = FakeTransport(now, submit)
    with pytest.raises(StoreError):
        drive(group, transport)
    assert PrePrepare not in kinds(group, transport)


def test_a_replica_that_halts_sends_its_last_words_and_then_ends(now: Clock) -> None:
    group = Engines()
    group.passes = lambda source, to, message: not (to == 0 and isinstance(message, Checkpoint | Stable))
    group.submit(0, group.transaction())
    group.run(50)
    group.crash(0)
    certificate = group.certificate(1, Digest(b"?" * 32))
    stable = group.signed(Stable(certificate=certificate, replica=ReplicaId(1), signature=wire.UNSIGNED))
    transport = FakeTransport(now, lambda _: [FromPeer(ReplicaId(1), wire.encode(stable))])

    with pytest.raises(Halted):
        drive(group, transport)

    assert [to for to, _ in transport.to_peers[-3:]] == [1, 2, 3]
    assert kinds(group, transport)[-3:] == [messages.Testimony] * 3


def test_stop_wakes_the_loop_and_ends_it_after_the_round(now: Clock) -> None:
    group = Engines()

    def stop_and_ask(_: int) -> list[Incoming]:
        assert transport.driver is not None
        transport.driver.stop()
        return [FromClient(ME, client_wire.encode(AskStatus(request_id=3)))]

    transport = FakeTransport(now, stop_and_ask)
    drive(group, transport)

    assert transport.wakes == 1
    assert len(transport.to_clients) == 1


def test_the_counters_make_one_line_without_zeros() -> None:
    traffic = Traffic(sent=3, dropped_to_peers={ReplicaId(1): 0, ReplicaId(2): 5}, evicted_connections=1)

    assert count({"ignored: stale_view": 2}, traffic.counters()) == (
        "ignored: stale_view 2, sent 3, not sent to replica 2 5, connections evicted 1"
    )
    assert count({}, Traffic().counters()) == ""


# ── clients ──


def test_the_connection_of_a_forger_ends_after_it_has_been_told(now: Clock) -> None:
    group = Engines()
    tx = group.transaction()
    fields = [tx.sender, tx.nonce, tx.created, tx.expires, tx.payload, bytes(64)]
    forged = client_wire.encode(Submit(request_id=1, transaction=cbor.encode(fields)))
    arriving: list[Incoming] = [FromClient(b"forger", forged) for _ in range(BURST)]
    transport = FakeTransport(now, lambda _: arriving, lambda _: [])

    drive(group, transport)

    assert transport.ended == [b"forger"]
    assert [route for route, _ in transport.to_clients] == [b"forger"] * BURST


def ordering(group: Engines) -> FromClient:
    """A new transaction, which stays pending as long as no other replica is there."""
    return FromClient(b"honest", client_wire.encode(Submit(request_id=1, transaction=group.transaction().encoded)))


QUESTION = client_wire.encode(AskStatus(request_id=3))


def test_while_it_orders_who_asks_for_too_much_time_waits_and_peers_do_not(now: Clock) -> None:
    group = Engines()
    questions: list[Incoming] = [FromClient(b"one", QUESTION) for _ in range(16)]

    def sleep(timeout_ms: int) -> list[Incoming]:
        now.pass_ms(timeout_ms)
        return []

    transport = FakeTransport(
        now, lambda _: [ordering(group)], lambda _: questions, lambda _: [], *[sleep] * 20, lambda _: []
    )
    transport.drain_ms = 15

    drive(group, transport)

    paused = [wait for wait, clients in zip(transport.waits, transport.for_clients, strict=True) if not clients]
    assert transport.for_clients[:2] == [True, True]
    assert transport.for_clients[2] is False
    assert 0 < max(paused) <= MAX_PAUSE_S * 1_000
    assert transport.may_receive[:3] == [DRAIN_MESSAGES, DRAIN_MESSAGES, 0]
    assert REQUESTS_UNDER_PRESSURE in transport.may_receive
    assert transport.for_clients[-1], "the pause is over"
    assert transport.driver is not None
    assert transport.driver.pace.counters() == {"pauses for clients": 1}


def test_while_nothing_is_ordered_nobody_waits(now: Clock) -> None:
    group = Engines()
    questions: list[Incoming] = [FromClient(b"one", QUESTION) for _ in range(16)]
    transport = FakeTransport(now, *[lambda _: questions] * 5)
    transport.drain_ms = 500

    drive(group, transport)

    assert all(transport.for_clients)
    assert set(transport.may_receive) == {DRAIN_MESSAGES}


def test_new_transactions_make_nobody_wait(now: Clock) -> None:
    group = Engines()

    def arriving(_: int) -> list[Incoming]:
        return [ordering(group) for _ in range(16)]

    transport = FakeTransport(now, *[arriving] * 5)
    transport.drain_ms = 40

    drive(group, transport)

    assert len(transport.for_clients) == 6
    assert all(transport.for_clients)
    assert set(transport.may_receive) == {DRAIN_MESSAGES}


def test_who_needs_an_old_block_waits_and_lets_others_by(now: Clock) -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    past: list[Incoming] = [
        FromClient(b"curious", client_wire.encode(AskReceipt(request_id=i, tx_id=old.id))) for i in range(20)
    ]
    engine = group.new_engine(0, stopwatch=time.monotonic)
    read = engine.store.block

    def slowly(height: Seq) -> bytes | None:
        now.pass_ms(5)
        return read(height)

    engine.store.block = slowly  # type: ignore[method-assign]
    transport = FakeTransport(
        now,
        lambda _: [ordering(group)],
        lambda _: past,
        lambda _: [FromClient(b"other", QUESTION)],
        lambda _: [],
        lambda _: [],
    )
    transport.driver = Driver(engine, transport)

    transport.driver.run()

    told = [route for route, _ in transport.to_clients]
    assert told.count(b"curious") < len(past)
    assert told.count(b"other") == 1
    assert all(transport.for_clients), "others are received"
    assert 0 < transport.waits[-1] <= MAX_PAUSE_S * 1_000, "nor is there a rush for nothing"


def test_messages_that_are_none_take_time_as_well(now: Clock) -> None:
    group = Engines()
    transport = FakeTransport(now, lambda _: [ordering(group)], lambda _: [], lambda _: [])
    drain = transport.drain

    def with_malformed(*_: int, **__: int) -> list[Incoming]:
        if transport.waits[1:]:
            transport.traffic.malformed += 100
            now.pass_ms(15)
        return drain()

    transport.drain = with_malformed  # type: ignore[method-assign]
    drive(group, transport)

    assert transport.for_clients[2] is False


def test_a_pause_keeps_no_receipt_that_is_owed(now: Clock) -> None:
    group = Engines()
    engine = group.new_engine(0)
    transport = FakeTransport(
        now, lambda _: [ordering(group)], lambda _: [FromClient(b"one", QUESTION)], lambda _: [], lambda _: []
    )
    transport.drain_ms = 15
    end_round, rounds = engine.end_round, list[Round]()

    def owing(now: Millis, work: int, lookups: int) -> Round:
        rounds.append(end_round(now, work, lookups))
        rounds[-1].has_more = rounds[-1].owes_receipts = len(rounds) == 3
        return rounds[-1]

    engine.end_round = owing  # type: ignore[method-assign,assignment]
    transport.driver = Driver(engine, transport)
    transport.driver.run()

    assert transport.for_clients[2:4] == [False, False]
    assert transport.waits[2] == 0
    assert transport.waits[3] > 0
