"""What hostile clients of `bench/hostile.py` send is what it is said to be: real replicas' engines say so."""

import random
from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest

from bftledger.base.ids import Seq
from bftledger.bench import hostile_frames
from bftledger.bench.hostile_frames import Past, put, source
from bftledger.bench.hostile_plan import KEYS, KINDS, hostiles
from bftledger.ledger import client_wire
from tests.builders import ED25519
from tests.engine.engines import START, Engines

MANY = 40


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """On whose virtual clock the frames are made, too."""
    group = Engines(keys=ED25519)
    clock = SimpleNamespace(time_ns=lambda: (START + group.now) * 1_000_000)
    monkeypatch.setattr(hostile_frames, "time", clock)
    return group


def past(group: Engines) -> Past:
    """Some transactions of its, a block each."""
    keys = [b"past %d" % i for i in range(5)]
    transactions = [group.transaction(payload=put(key, 60, random.Random(1))) for key in keys]
    for transaction in transactions:
        group.commit(transaction)
    return Past(transactions=transactions, heights=[Seq(i + 1) for i in range(len(keys))], keys=keys)


def send(group: Engines, kind: str, many: int = MANY, before: Past | None = None) -> Counter[str]:
    """So many of its frames go to replica 1, which answers so; none is longer than was said."""
    made = source(kind, group.genesis, before or Past(), "seed")
    frames = list(islice(made.frames, many))
    assert max(map(len, frames)) <= made.largest
    for frame in frames:
        group.client_frame(1, frame)
    group.run(50)
    assert not group.engine(1).desk.has_more
    return Counter(type(reply).__name__ for reply in group.taken())


@pytest.mark.parametrize(("kind", "many", "why"), [("forged", MANY, "bad signature"), ("huge", 10, "not admissible")])
def test_forgeries_are_refused(group: Engines, kind: str, many: int, why: str) -> None:
    assert send(group, kind, many) == {"Refused": many}
    assert group.engine(1).desk.submissions.refused == {why: many}


def test_garbage_is_refused_before_anything_is_made_of_it(group: Engines) -> None:
    answers = send(group, "garbage", 400)

    assert answers["ErrorReply"] > 0.9 * answers.total()
    assert not group.engine(1).desk.submissions.waiting


def test_huge_frames_are_as_long_as_a_request_can_be(group: Engines) -> None:
    longest = len(next(source("huge", group.genesis, Past(), "seed").frames))

    assert client_wire.MAX_REQUEST_BYTES - 1_024 < longest <= client_wire.MAX_REQUEST_BYTES


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("replays", {"Committed"}),
        ("reads", {"QueryReply", "HeightReply"}),
        ("lookups", {"Fate", "ReceiptReply", "BlockReply", "BlocksReply"}),
        ("deaf", {"BlockReply"}),
    ],
)
def test_questions_about_the_past_are_answered(group: Engines, kind: str, expected: set[str]) -> None:
    answers = send(group, kind, before=past(group))

    assert set(answers) == expected
    assert kind == "replays" or answers.total() == MANY


def test_waits_wait(group: Engines) -> None:
    assert send(group, "waits", before=past(group)) == {}
    assert group.engine(1).desk.reads.waiting == MANY


@pytest.mark.parametrize(
    ("kind", "keys", "many"), [("greedy", 1, 2 * KEYS), ("greedy-keys", KEYS, 2 * KEYS), ("greedy-large", 1, 20)]
)
def test_greedy_transactions_are_taken(group: Engines, kind: str, keys: int, many: int) -> None:
    made = source(kind, group.genesis, Past(), "seed")
    for frame in islice(made.frames, many):
        assert len(frame) <= made.largest
        group.client_frame(1, frame)
    group.run(0)
    pool = group.engine(1).replica.state.pool

    assert sorted(pool.shares().values()) == [many // keys] * keys
    assert group.run(5_000, lambda: not pool.pending())


def test_large_payloads_are_as_large_as_the_group_allows(group: Engines) -> None:
    frame = next(source("greedy-large", group.genesis, Past(), "seed").frames)

    assert 0 < len(frame) - group.genesis.max_payload_bytes < 200


def test_mixed_is_what_the_simulator_has(group: Engines) -> None:
    answers = send(group, "mixed", 300)
    refused = group.engine(1).desk.submissions.refused

    assert {"ErrorReply", "Refused"} <= set(answers)
    assert {"bad signature", "not admissible"} <= set(refused)
    assert group.run(70_000, lambda: group.hosts[1].height > 0), "some are valid"


@pytest.mark.parametrize("length", [40, 200, 263, 300, 65_000, 65_560])
def test_payload_is_as_long_as_wanted_or_a_little_shorter(length: int) -> None:
    assert length - 3 < len(put(b"key", length, random.Random(1))) <= length


def test_only_who_says_nothing_has_nothing_to_send(group: Engines) -> None:
    mute = [name for name, kind in KINDS.items() if not kind.sends]

    assert mute == ["idle"]
    with pytest.raises(KeyError):
        source("idle", group.genesis, Past(), "seed")
    for kind in KINDS.keys() - set(mute):
        assert next(source(kind, group.genesis, past(group), "seed").frames)


def test_seed_decides_what_strangers_send(group: Engines) -> None:
    def some(seed: str) -> list[bytes]:
        return list(islice(source("garbage", group.genesis, Past(), seed).frames, 20))

    assert some("a") == some("a") != some("b")


# ── which there are ──


def test_all_are_measured_over_one_connection_and_over_several() -> None:
    names = [hostile.name for hostile in hostiles(["all"], [None])]

    assert names[:2] == ["greedy:1", "greedy:16"]
    assert names[-1] == "idle:600"
    assert len(names) == 2 * len(KINDS) - 1


def test_each_rate_is_a_run_of_its_own_but_for_who_says_nothing() -> None:
    found = hostiles(["forged:1", "idle:3", "forged:1"], [100.0, None])

    assert [hostile.title for hostile in found] == ["forged:1 100/s", "forged:1", "idle:3"]
