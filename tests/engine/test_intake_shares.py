"""Where clients' requests wait: who takes what there is too much of makes room, and work is divided fairly."""

import random
from collections import Counter, deque
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base.ids import Seq, TxId
from bftledger.engine.intake import MAX_BYTES, MAX_FRAMES, Intake, Ranking
from bftledger.engine.work import (
    BYTES_THAT_COUNT_TWICE,
    USUAL_BYTES,
    WORK_PER_LOOKUP,
    WORK_PER_REQUEST,
    WORK_PER_ROUND,
    work_of,
)
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    Busy,
    Query,
    Request,
    StatusReply,
    Submit,
)
from tests.engine.engines import START, Engines

LONGEST = client_wire.MAX_REQUEST_BYTES
HONEST = [b"honest %d" % i for i in range(20)]
SMALL = bytes(300)
LOOKUP = client_wire.encode(AskBlock(request_id=1, height=Seq(1)))
REQUESTS = 20
LARGEST_NUMBER = (1 << 63) - 1


def put(intake: Intake, route: bytes, *frames: bytes) -> Counter[bytes]:
    """Whose frames had to make room, and how many."""
    return Counter(other for frame in frames for other, _ in intake.put(route, frame))


def taken(intake: Intake, work: int = WORK_PER_ROUND) -> list[tuple[bytes, bytes]]:
    """What a round serves."""
    items = []
    while work > 0 and (item := intake.take()) is not None:
        items.append(item)
        work -= work_of(item[1])
    return items


def crowd(intake: Intake) -> None:
    """Honest connections that have several small requests each."""
    for route in HONEST:
        assert not put(intake, route, *[SMALL] * REQUESTS)


def count(items: Iterable[tuple[bytes, bytes]]) -> Counter[bytes]:
    return Counter(route for route, _ in items)


# ── who makes room ──


def test_few_long_frames_do_not_push_out_many_short_ones_of_others() -> None:
    intake = Intake()
    crowd(intake)
    busy = sum((put(intake, b"hostile %d" % i, bytes(LONGEST)) for i in range(17)), Counter[bytes]())

    assert not busy.keys() & set(HONEST)
    assert busy.total() == 2
    assert len(intake) == len(HONEST) * REQUESTS + 15


def test_who_makes_room_for_others_is_told_to_come_again() -> None:
    group = Engines()
    engine = group.engine(0)
    for i in range(REQUESTS):
        engine.on_client(b"honest", client_wire.encode(AskStatus(request_id=i)), START)
    for i in range(16):
        long = client_wire.encode(Submit(request_id=i, transaction=bytes(LONGEST - 1_024)))
        engine.on_client(b"hostile %d" % i, long, START)
    answers = [(route, client_wire.decode_reply(frame)) for route, frame in engine.end_round(START).to_clients]

    assert [(route, reply.request_id) for route, reply in answers if isinstance(reply, Busy)] == [(b"hostile 15", 15)]
    assert [type(reply) for route, reply in answers if route == b"honest"] == [StatusReply] * REQUESTS


def test_many_frames_make_room_where_there_are_too_many_though_others_have_more_bytes() -> None:
    intake = Intake()
    put(intake, b"long", *[bytes(LONGEST)] * 10)
    busy = put(intake, b"many", *[b""] * MAX_FRAMES)

    assert busy == {b"many": 10}
    assert len(intake) == MAX_FRAMES


def test_where_both_bounds_are_exceeded_each_is_made_good_by_who_has_most_of_it() -> None:
    intake = Intake()
    put(intake, b"many", *[b""] * (MAX_FRAMES - 2))
    put(intake, b"long", bytes(MAX_BYTES - 1_000), bytes(900))
    busy = [(route, len(frame)) for route, frame in intake.put(b"other", bytes(101))]

    assert busy == [(b"long", 900)]
    assert put(intake, b"other", b"") == {b"many": 1}


def test_of_those_that_have_most_whoever_came_last_makes_room() -> None:
    intake = Intake()
    kept = MAX_BYTES // LONGEST
    busy = [put(intake, b"%d" % i, bytes(LONGEST)) for i in range(kept + 3)]

    assert busy == [Counter()] * kept + [{b"%d" % i: 1} for i in range(kept, kept + 3)]


def test_a_frame_longer_than_all_the_room_is_the_only_one_that_does_not_fit() -> None:
    intake = Intake()
    crowd(intake)

    assert put(intake, b"hostile", bytes(MAX_BYTES + 1)) == {b"hostile": 1}
    assert len(intake) == len(HONEST) * REQUESTS


# ── who is served ──


def test_small_requests_do_not_wait_behind_long_ones_that_came_before_them() -> None:
    intake, hostile = Intake(), 15
    for i in range(hostile):
        put(intake, b"hostile %d" % i, bytes(LONGEST))
    crowd(intake)
    served = count(taken(intake))

    share = WORK_PER_ROUND // (hostile + len(HONEST)) // work_of(SMALL)
    assert min(served[route] for route in HONEST) >= share - 1


@pytest.mark.parametrize(
    "hostile_frame", [SMALL, bytes(30_000), bytes(LONGEST), LOOKUP], ids=lambda frame: str(len(frame))
)
@pytest.mark.parametrize("hostile_frames", [1, 8])
def test_under_a_flood_that_lasts_honest_connections_get_their_part_of_the_work(
    hostile_frame: bytes, hostile_frames: int
) -> None:
    """They are served with as much as anybody, or with all that they ask, whether a flood comes one by one or not."""
    intake, rounds = Intake(), 100
    brings = dict.fromkeys((b"hostile %d" % i for i in range(16)), (hostile_frame, hostile_frames))
    brings |= dict.fromkeys(HONEST, (SMALL, REQUESTS))
    waiting, served, refused = Counter[bytes](), Counter[bytes](), Counter[bytes]()
    for _ in range(rounds):
        for route, (frame, most) in brings.items():
            for _ in range(most - waiting[route]):
                busy = put(intake, route, frame)
                refused += busy
                waiting = waiting + Counter([route]) - busy
        round_served = count(taken(intake))
        served += round_served
        waiting -= round_served

    share = rounds * WORK_PER_ROUND // len(brings) // work_of(SMALL)
    assert not refused.keys() & set(HONEST)
    assert min(served[route] for route in HONEST) >= 0.98 * min(share, rounds * REQUESTS)


def test_who_has_many_short_requests_waiting_gets_no_more_than_who_has_long_ones() -> None:
    intake = Intake()
    put(intake, b"short", *[SMALL] * 600)
    put(intake, b"long", *[bytes(30_000)] * 60)
    work = Counter[bytes]()
    for route, frame in taken(intake):
        work[route] += work_of(frame)

    assert abs(work[b"short"] - work[b"long"]) <= 2 * work_of(bytes(30_000))


def test_who_comes_back_at_once_or_as_another_is_not_served_before_who_waits() -> None:
    intake = Intake()
    put(intake, b"honest", *[SMALL] * REQUESTS)
    served = Counter[bytes]()
    for i in range(10 * REQUESTS):
        put(intake, b"back", bytes(30_000))
        put(intake, b"another %d" % i, bytes(30_000))
        served += count([item for item in [intake.take()] if item is not None])

    assert served[b"honest"] == REQUESTS


@pytest.mark.parametrize(
    ("request_", "is_lookup"),
    [
        (Submit(request_id=LARGEST_NUMBER, transaction=bytes(1_000)), False),
        (AskFate(request_id=LARGEST_NUMBER, tx_id=TxId(b"t" * 32)), True),
        (AskReceipt(request_id=LARGEST_NUMBER, tx_id=TxId(b"t" * 32)), True),
        (Query(request_id=LARGEST_NUMBER, args=b"key", certified=True, minimum=Seq(7)), False),
        (AskHeight(request_id=LARGEST_NUMBER, minimum=Seq(7)), False),
        (AskBlock(request_id=LARGEST_NUMBER, height=Seq(LARGEST_NUMBER)), True),
        (AskBlocks(request_id=LARGEST_NUMBER, count=256), True),
        (AskStatus(request_id=LARGEST_NUMBER), False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else "",
)
def test_what_a_request_takes_is_known_from_its_frame(request_: Request, is_lookup: bool) -> None:
    frame = client_wire.encode(request_)

    unusual = max(0, len(frame) - USUAL_BYTES)
    assert unusual < BYTES_THAT_COUNT_TWICE
    assert work_of(frame) == WORK_PER_REQUEST + len(frame) + unusual + WORK_PER_LOOKUP * is_lookup


# ── the books ──

ROUTES = [b"%d" % i for i in range(6)]
SIZES = [0, 300, 60_000, LONGEST, MAX_BYTES]


class Books:
    """The same, plainly: looks at every connection each time."""

    def __init__(self) -> None:
        self.intake = Intake()
        self.queues: dict[bytes, deque[bytes]] = {}
        """In the order in which they began."""
        self.sizes = Counter[bytes]()

    def put(self, route: bytes, frame: bytes) -> None:
        """Takes it in, and makes sure that those who make room have most."""
        self.queues.setdefault(route, deque()).append(frame)
        self.sizes[route] += len(frame)
        for other, crowded_out in self.intake.put(route, frame):
            size = self.sizes.total()
            assert self.frames > MAX_FRAMES or size > MAX_BYTES, "nobody makes room in vain"
            most = {each: self.sizes[each] if size > MAX_BYTES else len(self.queues[each]) for each in self.queues}
            assert other == max(reversed(most), key=most.__getitem__)
            assert crowded_out is self.queues[other].pop()
            self.gone(other, crowded_out)

    def take(self) -> None:
        """Serves one, its connection's oldest."""
        item = self.intake.take()
        assert (item is None) == (not self.queues)
        if item is not None:
            route, frame = item
            assert frame is self.queues[route].popleft()
            self.gone(route, frame)

    def put_back(self) -> None:
        """Takes one, and finds that it is more work."""
        before = {route: list(queue) for route, queue in self.queues.items()}
        item = self.intake.take()
        if item is None:
            return
        route, frame = item
        assert frame is before[route][0]
        if len(before[route]) == 1:  # it was alone, and comes back as the last that began
            self.queues[route] = self.queues.pop(route)
        self.intake.put_back(route, frame, 10 * work_of(frame))

    def gone(self, route: bytes, frame: bytes) -> None:
        self.sizes[route] -= len(frame)
        if not self.queues[route]:
            del self.queues[route]

    @property
    def frames(self) -> int:
        return sum(map(len, self.queues.values()))

    def check(self) -> None:
        """What holds whenever nothing is under way."""
        assert len(self.intake) == self.frames <= MAX_FRAMES, "as many frames as were taken in and have not left"
        assert sum(len(frame) for queue in self.queues.values() for frame in queue) == self.sizes.total() <= MAX_BYTES


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(ROUTES), st.sampled_from(SIZES), st.sampled_from([1, 3, 400]))
        | st.integers(-50, 500),
        max_size=30,
    )
)
def test_the_books_agree_whatever_comes_and_goes(steps: list[tuple[bytes, int, int] | int]) -> None:
    books = Books()
    for number, step in enumerate(steps):
        if isinstance(step, int) and step < 0:
            books.put_back()
        elif isinstance(step, int):
            for _ in range(step):
                books.take()
        else:
            route, size, times = step
            frame = b"%d" % number + bytes(size)
            for _ in range(times):
                books.put(route, frame)
        books.check()
    while books.queues:
        books.take()
    books.check()

    assert books.intake.take() is None


def test_a_ranking_knows_the_first_whatever_changes_and_does_not_grow_with_the_changes() -> None:
    """Every change leaves an old entry behind: a client makes as many as it likes."""
    chance, ranking, ranks = random.Random(1), Ranking(), dict[bytes, tuple[int, int]]()
    for i in range(20_000):
        route = chance.choice(ROUTES)
        if route in ranks and chance.random() < 0.3:
            ranking.drop(route)
            del ranks[route]
        else:
            ranks[route] = (chance.randrange(100), i)
            ranking.set(route, ranks[route])
        if ranks and chance.random() < 0.1:
            assert ranking.first() == min(ranks, key=ranks.__getitem__)

    assert ranking.entries < 200
