"""Limits of a machine: what is within them passes, and one more of each is named."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.check.bounds import Bound, exceeded
from bftledger.pbft.memory import SPAN
from bftledger.pbft.messages import Message
from bftledger.pbft.pace import Probe
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import TOLD_PER_TICK, State
from bftledger.pbft.transfer import BLOCKS_PER_TICK, BYTES_PER_TICK
from bftledger.sim.host import Disk
from bftledger.sim.limits import Answers, Timed, disk_bounds, to_one
from bftledger.storage.store import Vote
from tests.builders import Writer, a_replica, tx
from tests.storage import stores

W = Writer()
SETTINGS = Settings(window=2)
ONE, TWO = ReplicaId(1), ReplicaId(2)


def over(bounds: Iterable[Bound]) -> list[str]:
    return [found.text for found in exceeded(bounds)]


# ── on disk ──


def a_disk(*votes: Vote) -> Disk:
    disk = Disk()
    for vote in votes:
        disk.save_vote(vote)
    return disk


def test_a_disk_may_hold_votes_for_two_windows() -> None:
    disk = a_disk(*(stores.prepare(seq) for seq in (1, 2, 3, 4)), stores.view_change(1))
    assert over(disk_bounds(disk, SETTINGS)) == []

    disk.save_vote(stores.checkpoint(5))
    assert over(disk_bounds(disk, SETTINGS)) == ["numbers with votes on disk: 5, at most 4"]


def test_of_one_number_a_disk_holds_the_votes_of_one_view_and_a_pre_prepare_more() -> None:
    disk = a_disk(*(vote(1, view) for view in (0, 1) for vote in (stores.pre_prepare, stores.prepared)))
    assert over(disk_bounds(disk, SETTINGS)) == []

    for vote in (
        stores.pre_prepare(1, 2),
        stores.prepare(1),
        stores.prepare(1, 2),
        stores.commit(1),
        stores.commit(1, 2),
    ):
        disk.save_vote(vote)
    assert over(disk_bounds(disk, SETTINGS)) == [
        "views with a PRE-PREPARE for one number on disk: 3, at most 2",
        "views with a PREPARE for one number on disk: 2, at most 1",
        "views with a COMMIT for one number on disk: 2, at most 1",
    ]


def test_proposals_decisions_and_evidence_on_disk_have_limits() -> None:
    disk = a_disk()
    for time in range(8):
        disk.save_vote(stores.pre_prepare(1, of=make_proposal(Millis(time), ())))
    disk._decisions = dict.fromkeys(map(Seq, range(SPAN)), stores.decision(1))
    disk.save_evidence(stores.against(3))
    assert over(disk_bounds(disk, SETTINGS)) == []

    disk.save_vote(stores.pre_prepare(2))
    disk._decisions[Seq(SPAN)] = stores.decision(1)
    disk._evidence[ReplicaId(3), "the same again"] = stores.against(3, seq=2)
    assert over(disk_bounds(disk, SETTINGS)) == [
        "proposals on disk: 9, at most 8",
        f"decisions on disk: {SPAN + 1}, at most {SPAN}",
        "pieces of evidence against one replica by one rule on disk: 2, at most 1",
    ]


# ── peers that ask ──


def a_state(tick: int = 1) -> State:
    state = a_replica(0, window=2).state
    state.tick = tick
    return state


def sends(answers: Answers, state: State, message: Message, times: int, to: ReplicaId = ONE) -> list[str]:
    return over(answers.add(ReplicaId(0), state, [(to, message)] * times))


ONCE: list[Message] = [
    W.stable(0, W.certificate(1)),
    W.view_change(0),
    W.proposed(0),
    W.testimony(0, W.pre_prepare(view=0, of="pay eve")),
]


def begun() -> Answers:
    answers = Answers()
    answers.begun(ReplicaId(0))
    return answers


@pytest.mark.parametrize(
    ("message", "each"),
    [
        *((message, 1) for message in ONCE),
        (W.prepare(1), SETTINGS.window),
        (W.commit(1), SETTINGS.window),
        (W.checkpoint(1), SETTINGS.window),
        (W.blocks(0, W.certificate(1)), BLOCKS_PER_TICK),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else "",
)
def test_a_peer_gets_the_same_so_often_in_one_interval(message: Message, each: int) -> None:
    """Twice as often as it may ask between two ticks: the interval before may end in the round that this begins in."""
    answers, state = begun(), a_state()
    assert sends(answers, state, message, 2 * each) == []
    assert sends(answers, state, message, 2 * each, to=TWO) == []

    (found,) = sends(answers, state, message, 1)
    assert found.startswith(type(message).__name__)
    assert found.endswith(f"to replica 1 in one status interval: {2 * each + 1}, at most {2 * each}")
    state.tick += 1
    assert sends(answers, state, message, 2 * each) == []


def test_after_the_longer_interval_a_peer_may_have_asked_more_often() -> None:
    answers, state = begun(), a_state()
    state.answers_per_tick = 10

    assert sends(answers, state, ONCE[0], 11) == []
    assert len(sends(answers, state, ONCE[0], 1)) == 1


def test_an_interval_in_which_a_peer_was_sent_nothing_counts_when_the_next_begins() -> None:
    """Seeds 90984, 184720: a peer had asked during all of the longer interval, and was answered in one slow round."""
    answers, state = begun(), a_state()
    for answers_per_tick in (1, 10, 10):
        state.tick += 1
        state.answers_per_tick = answers_per_tick
        assert sends(answers, state, ONCE[0], 0) == []

    assert sends(answers, state, ONCE[0], 20) == []
    assert len(sends(answers, state, ONCE[0], 1)) == 1


def test_numbers_are_counted_one_by_one_where_each_may_be_asked_for() -> None:
    answers, state = begun(), a_state()

    assert [sends(answers, state, W.proposed(0, seq=seq), 2) for seq in range(1, 20)] == [[]] * 19


def test_bytes_have_a_limit_that_only_the_last_answer_may_go_beyond() -> None:
    answers, state = begun(), a_state()
    state.answers_per_tick = 100  # so that nothing else is too much
    ration = (100 + 1) * BYTES_PER_TICK
    large = replace(W.blocks(0, W.certificate(1)), blocks=(bytes(BYTES_PER_TICK),), headers=())
    assert sends(answers, state, large, 101 + 2) == []

    assert sends(answers, state, large, 1) == [
        f"bytes of blocks to replica 1 in one status interval: {ration + BYTES_PER_TICK}, at most {ration}"
    ]


def test_testimony_has_a_smaller_limit() -> None:
    answers, state = begun(), a_state()
    votes = [W.prepare(i, seq=seq) for seq in range(1, 200) for i in (1, 2)]
    testimony = W.testimony(0, *votes)
    found: list[str] = []
    sent = 0
    while not found and sent < 100:
        sent += 1
        found = sends(answers, state, testimony, 1)

    (text,) = found
    assert text.startswith("bytes of testimony to replica 1 in one status interval")
    assert text.endswith(f"at most {2 * TOLD_PER_TICK}")


# ── which they are ──


def test_what_goes_to_all_is_no_answer_to_one() -> None:
    to_all, alone = b"to all", b"alone"
    three = [ReplicaId(1), ReplicaId(2), ReplicaId(3)]
    sent = [(ONE, alone), *((to, to_all) for to in three), (TWO, alone), (ONE, to_all)]

    assert list(to_one(sent, 3)) == [(ONE, alone), (TWO, alone), (ONE, to_all)]


# ── what is timed ──


def timing(*words: str, tick: int) -> State:
    """Backup 1 times these, which nobody brought it, or which were settled since."""
    state = a_replica(1).state
    state.tick = tick
    state.pace.probes = {tx(each).id: Probe(Millis(0), tick, shared=False) for each in words}
    return state


def still_timed(timed: Timed, state: State) -> list[str]:
    return over(timed.look(ONE, state))


def test_what_is_gone_is_timed_until_the_next_tick_and_no_longer() -> None:
    timed, state = Timed(), timing("a", "b", tick=3)
    assert still_timed(timed, state) == []
    assert still_timed(timed, state) == []

    state.tick = 4
    assert still_timed(timed, state) == ["transactions timed that were gone before the last tick: 2, at most 0"]


def test_what_is_pending_or_new_or_timed_anew_is_not_gone_for_a_tick() -> None:
    timed, state = Timed(), timing("pending", "gone", "again", tick=3)
    assert state.pool.admit(tx("pending")) is None
    still_timed(timed, state)
    state.tick = 4
    del state.pace.probes[tx("gone").id]
    for word in ("again", "new"):
        state.pace.probes[tx(word).id] = Probe(Millis(0), 3, shared=True)

    assert still_timed(timed, state) == []


def test_who_lagged_at_the_tick_has_yet_to_judge_and_a_new_view_or_start_begins_anew() -> None:
    timed, state = Timed(), timing("a", tick=3)
    still_timed(timed, state)
    state.tick, state.unjudged = 4, True
    assert still_timed(timed, state) == []
    state.tick, state.unjudged, state.view = 5, False, View(1)
    assert still_timed(timed, state) == []
    state.tick = 6
    timed.begun(ONE)
    assert still_timed(timed, state) == []

    state.tick = 7
    assert len(still_timed(timed, state)) == 1
