"""Replicas that vote wrongly, late, or not at all, in a group of engines: the others decide without them."""

import pytest

from bftledger.adversary.behaviours import silence, votes
from bftledger.adversary.behaviours.silence import PHASES
from bftledger.base.ids import Digest, Seq
from bftledger.pbft import wire
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Checkpoint, Message, Prepare, Stable, Status
from tests.adversary.traitors import (
    a_group_with,
    colluding,
    commit_everywhere,
    dropped,
    honest,
    ignored,
    ledger,
    lens,
    submit_to_all,
    views,
    work,
)

ALL = [behaviour.name for module in (silence, votes) for behaviour in module.BEHAVIOURS if behaviour.name != "mute"]
TOLD = ["selective:1", "selective:1,3", "late:30", "late:2000"]
SPOKEN = ["pre-prepare", "prepare", "commit", "checkpoint", "status"]
"""The phases that every run has, whoever is asked."""


@pytest.mark.parametrize("behaviour", [*ALL, *TOLD])
@pytest.mark.parametrize("traitor", [0, 2])
def test_honest_replicas_order_everything_beside_one_that_votes_wrongly(behaviour: str, traitor: int) -> None:
    group = a_group_with(behaviour, traitor=traitor)
    work(group)

    assert lens(group, traitor).lies[behaviour.partition(":")[0]] > 0


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("traitor", [0, 2])
def test_honest_replicas_order_everything_beside_one_that_is_silent_in_one_phase(phase: str, traitor: int) -> None:
    group = a_group_with(f"mute:{phase}", traitor=traitor)
    work(group, 4)
    group.run(2_000)

    if phase in SPOKEN and (phase == "pre-prepare") <= (traitor == 0) and (phase == "prepare") <= (traitor == 2):
        assert lens(group, traitor).lies["mute"] > 0


@pytest.mark.parametrize("behaviour", ALL)
def test_f_of_them_together_change_nothing(behaviour: str) -> None:
    group = colluding([behaviour], traitors=[0, 4], n=7)
    work(group, 4)

    assert lens(group).lies.total() > 0


@pytest.mark.parametrize("behaviour", ALL)
def test_what_votes_do_is_survived_on_a_network_that_loses_messages(behaviour: str) -> None:
    group = a_group_with(behaviour, traitor=1)
    group.loss = 0.1
    work(group, 4)


# ── silence ──


def test_a_silent_primary_loses_its_view_and_a_silent_backup_nothing() -> None:
    silent_primary, silent_backup = a_group_with("silent"), a_group_with("silent", traitor=2)
    work(silent_primary, 2)
    work(silent_backup, 2)

    assert min(views(silent_primary)) == 1
    assert views(silent_backup) == [0, 0, 0]


def test_a_primary_that_talks_to_one_replica_only_loses_its_view() -> None:
    group = a_group_with("selective:1")
    work(group, 2)

    assert min(views(group)) >= 1
    assert ledger(group, 3) == ledger(group, 1)


def test_what_is_repeated_is_ignored_or_dropped() -> None:
    group = a_group_with("stutter", traitor=2)
    work(group)

    assert views(group) == [0, 0, 0]
    assert dropped(group)["NotItsSender"] > 0
    assert ignored(group).total() > 0


# ── votes ──


def test_a_commit_counts_for_nothing_before_its_receiver_is_prepared() -> None:
    """§4.2: committed-local(m, v, n, i) needs prepared(m, v, n, i), whoever said COMMIT."""
    group = colluding(["early-vote"], traitors=[0, 2, 3])
    deliver = group.peer_frame

    def without_prepares(to: int, frame: bytes, by: int | None = None) -> None:
        message = wire.decode(frame, group.genesis.genesis_hash)
        if to != 1 or not isinstance(message, Prepare | Checkpoint | Stable | Status):
            deliver(to, frame, by)

    group.peer_frame = without_prepares  # type: ignore[method-assign]
    submit_to_all(group, [group.transaction()])
    group.run(100)

    state = group.engine(1).replica.state
    assert len(state.slots[Seq(1)].commits) == 3
    assert not state.slots[Seq(1)].committed
    assert group.hosts[1].height == 0


def test_a_block_that_f_replicas_name_is_not_certified() -> None:
    group = colluding(["false-checkpoint"], traitors=[0, 1], n=7)
    work(group)

    for i in honest(group):
        for height in range(1, group.hosts[i].height + 1):
            certificate = group.hosts[i].store.certificate(Seq(height))
            assert certificate is None or certificate.block_hash == group.hosts[i].store.block_hash(Seq(height))
        assert all(seq <= group.engine(i).replica.state.high for seq in group.engine(i).replica.state.slots)


def test_who_is_told_two_things_keeps_the_first() -> None:
    group = a_group_with("flip-flop", traitor=2)
    work(group, 4)

    assert ignored(group)[Ignored.CONFLICTING] > 0


def test_a_double_voter_says_to_each_what_that_one_wants_to_hear() -> None:
    group = colluding(["equivocate", "double-vote"], traitors=[0, 3], n=7)
    supported: dict[tuple[int, int], Digest] = {}

    def notice(source: int, to: int, message: Message) -> bool:
        if isinstance(message, Prepare) and message.view == 0:
            supported[source, message.seq] = message.digest
        return True

    group.passes = notice
    commit_everywhere(group, [group.transaction() for _ in range(3)])

    said = {digest for (_, seq), digest in supported.items() if seq == 1}
    assert len(said) == 2, "two versions of the first block were prepared"
    assert lens(group, 3).lies["double-vote"] > 0


def test_forgetting_means_another_vote_for_the_same_slot() -> None:
    group = a_group_with("forget", traitor=2)
    sent: list[bytes] = []
    deliver = group.peer_frame

    def record(to: int, frame: bytes, by: int | None = None) -> None:
        if by == 2:
            sent.append(frame)
        deliver(to, frame, by)

    group.peer_frame = record  # type: ignore[method-assign]
    work(group, 3, pause=500)

    decoded = [wire.decode(frame, group.genesis.genesis_hash) for frame in sent]
    cast = {(message.seq, message.digest) for message in decoded if isinstance(message, Prepare)}
    assert len(cast) == 2 * len({seq for seq, _ in cast})
    assert not any(isinstance(message, Checkpoint) and message.replica != 2 for message in decoded)


@pytest.mark.parametrize("behaviour", ["wrong-digest", "flip-flop", "false-checkpoint", "double-vote"])
def test_what_a_liar_keeps_is_what_its_honest_core_promised(behaviour: str) -> None:
    group = a_group_with(behaviour, traitor=2)
    work(group, 2)

    assert ledger(group, 2) == ledger(group, 1)
