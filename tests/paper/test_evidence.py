"""Evidence at work: what is noticed, kept, told to others, and what no lie can make of an honest replica.

The paper has no word for it. The forks here need f+1 traitors; they have no core of their own, only keys.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.pbft import messages, wire
from bftledger.pbft.effects import Broadcast, Convict, Deliver, Halt, Ignore, Ignored, Persist, Remember, Send
from bftledger.pbft.events import Delivered, Event, Received, Started, TimerFired
from bftledger.pbft.evidence import Evidence, evidence
from bftledger.pbft.guilt import Rule
from bftledger.pbft.memory import ACTED_UPON, CHANGES, SPAN
from bftledger.pbft.messages import Commit, Message, Status, ViewChange
from bftledger.pbft.recovery import Recent
from bftledger.pbft.state import HEARD_PER_TICK
from bftledger.pbft.testimony import told_in
from bftledger.pbft.timers import StatusTimer
from bftledger.pbft.witness import Witness
from tests.builders import (
    GENESIS_BLOCK,
    NOW,
    TestedReplica,
    Writer,
    a_replica,
    block_hash,
    delivered,
    fired,
    load,
    only,
    sent,
)

W = Writer()


class Cores:
    """Some replicas of a group, whose messages reach one another at once unless `passes` says no."""

    def __init__(self, *ids: int) -> None:
        self.cores = {i: a_replica(i) for i in ids}
        self.passes: Callable[[int, int, Message], bool] = lambda source, to, message: True
        self.convictions: dict[int, list[Evidence]] = {i: [] for i in ids}
        self.halted: dict[int, str] = {}
        self.blocks: dict[int, list[Digest]] = {i: [GENESIS_BLOCK] for i in ids}
        self.rounds = 0
        self._sent: deque[tuple[int, Message]] = deque()
        for i in ids:
            self.step(i, Started())

    def __getitem__(self, id: int) -> TestedReplica:
        return self.cores[id]

    def feed(self, to: Iterable[int], *messages: Message) -> None:
        """Traitors' messages arrive."""
        for message in messages:
            for i in to:
                self.arrive(i, message)
        self.settle()

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            for i in self.cores:
                self.step(i, TimerFired(StatusTimer()))
            self.settle()

    def settle(self) -> None:
        """Until nothing is under way."""
        while self._sent:
            self.rounds += 1
            under_way, self._sent = self._sent, deque()
            for to, message in under_way:
                self.arrive(to, message)

    def arrive(self, to: int, message: Message) -> None:
        if to not in self.halted and self.cores[to].refusal(message) is None:
            self.step(to, Received(message))

    def step(self, id: int, event: Event) -> None:
        events = [event]
        while events and id not in self.halted:
            for effect in self.cores[id].step(events.pop(0), NOW):
                match effect:
                    case Deliver(seq, proposal):
                        self.blocks[id].append(tagged_hash("test-block", self.blocks[id][-1] + proposal.digest))
                        ids = tuple(each.id for each in proposal.transactions)
                        events.append(Delivered(seq, self.blocks[id][-1], ids, load(*proposal.transactions)))
                    case Send(to, message):
                        self._send(id, [to], message)
                    case Broadcast(message):
                        self._send(id, self.cores, message)
                    case Convict(found):
                        self.convictions[id].append(found)
                    case Halt(reason):
                        self.halted[id] = reason
                        for message in self.cores[id].last_words():
                            self._send(id, self.cores, message)
                        break
                    case _:
                        pass

    def _send(self, source: int, to: Iterable[int], message: Message) -> None:
        self._sent.extend(
            (i, message) for i in to if i in self.cores and i != source and self.passes(source, i, message)
        )

    def convicted(self, id: int) -> set[int]:
        return {found.replica for found in self.convictions[id]}


def convict(*effects: object) -> list[tuple[int, Rule]]:
    return [(found.evidence.replica, found.evidence.rule) for found in effects if isinstance(found, Convict)]


def proof_against(replica: int = 2) -> Evidence:
    found = evidence(W.prepare(replica), W.prepare(replica, of="pay eve"))
    assert found is not None
    return found


# ── what is noticed ──


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize(
    ("rule", "pair"),
    [
        (Rule.TWO_PROPOSALS, [W.pre_prepare(), W.pre_prepare(of="pay eve")]),
        (Rule.TWO_PREPARES, [W.prepare(2), W.prepare(2, of="pay eve")]),
        (Rule.TWO_COMMITS, [W.commit(2), W.commit(2, of="pay eve")]),
        (Rule.COMMITTED_ANOTHER, [W.prepare(2), W.commit(2, of="pay eve")]),
        (Rule.TWO_BLOCKS, [W.checkpoint(2), W.checkpoint(2, block=block_hash("other"))]),
        (Rule.TWO_VIEW_CHANGES, [W.view_change(2), W.view_change(2, prepared=[W.prepared()])]),
        (Rule.HIDDEN_COMMIT, [W.commit(2), W.view_change(2)]),
        (
            Rule.TWO_NEW_VIEWS,
            [W.new_view([W.view_change(i) for i in (0, 2, 3)]), W.new_view([W.view_change(i) for i in (0, 1, 2)])],
        ),
    ],
)
def test_the_second_message_convicts_and_all_are_told(rule: Rule, pair: list[Message], order: bool) -> None:
    first, second = reversed(pair) if order else pair
    replica = a_replica(id=3).having(first)

    assert replica.refusal(second) is None, "the door lets it in"
    effects = replica.take(second)

    (conviction,) = only(effects, Convict)
    assert (conviction.evidence.replica, conviction.evidence.rule) == (first.replica, rule)
    told = [effect.message for effect in only(effects, Broadcast) if isinstance(effect.message, messages.Testimony)]
    assert [testimony.messages for testimony in told] == [(conviction.evidence.first, conviction.evidence.second)]
    assert effects.index(conviction) < effects.index(Broadcast(told[0])), "disk before anything else"


def test_votes_inside_certificates_convict() -> None:
    backup = a_replica(id=1).having(W.prepare(2, of="pay eve"))

    effects = backup.take(W.view_change(3, view=1, prepared=[W.prepared()]))

    assert convict(*effects) == [(2, Rule.TWO_PREPARES)]


def test_the_votes_that_a_block_stands_on_convict_by_another_certificate() -> None:
    backup = a_replica(id=1).having(W.checkpoint(2), W.checkpoint(3))

    effects = backup.take(W.stable(0, W.certificate(1, block=block_hash("other"), by=(0, 2, 3))))

    assert convict(*effects) == [(2, Rule.TWO_BLOCKS), (3, Rule.TWO_BLOCKS)]


def test_view_changes_inside_a_new_view_convict() -> None:
    backup = a_replica(id=3).having(W.commit(2))

    effects = backup.take(W.new_view([W.view_change(i) for i in (0, 1, 2)]))

    assert convict(*effects) == [(2, Rule.HIDDEN_COMMIT)]


def test_a_commit_that_comes_after_the_view_change_that_hides_it_is_let_in() -> None:
    backup = a_replica(id=3).having(W.view_change(2), W.view_change(1), W.view_change(0))
    assert backup.refusal(W.commit(1)) is None
    assert backup.refusal(W.commit(1, seq=0)) is Ignored.STALE_VIEW

    effects = backup.take(W.commit(2))

    assert convict(*effects) == [(2, Rule.HIDDEN_COMMIT)]
    assert only(effects, Ignore) == [Ignore(Ignored.STALE_VIEW)]


def test_who_is_convicted_by_a_rule_is_not_heard_on_it_again() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), W.prepare(2, of="pay eve"))

    assert backup.refusal(W.prepare(2, of="pay mallory")) is Ignored.CONFLICTING
    assert convict(*backup.take(W.prepare(2, of="pay mallory"))) == []
    assert len(backup.state.witness.evidence) == 1


def test_more_view_changes_make_nobody_forget_the_one_that_counted() -> None:
    backup = a_replica(id=3).having(W.new_view([W.view_change(i) for i in (0, 1, 2)]))
    for view in range(2, 20):
        backup.take(W.view_change(2, view=view))

    assert convict(*backup.take(W.commit(2))) == [(2, Rule.HIDDEN_COMMIT)]


def test_the_witness_forgets_what_is_long_settled() -> None:
    backup = a_replica(id=1)
    for seq in range(1, SPAN + 20):
        backup.take(W.stable(0, W.certificate(seq)))
    for view in range(1, 20):
        backup.take(W.view_change(2, view=view))

    numbers, changes, _ = backup.state.witness.memory.sizes()
    assert numbers == SPAN
    assert changes == CHANGES


# ── what is told ──


def test_both_halves_of_an_equivocation_prove_it_within_one_round_trip_and_leave_the_view() -> None:
    group = Cores(1, 2, 3)

    group.arrive(1, W.pre_prepare())
    group.arrive(2, W.pre_prepare(of="pay eve"))
    group.arrive(3, W.pre_prepare(of="pay eve"))
    group.rounds = 0
    while not all(group.convicted(i) == {0} for i in (1, 2, 3)):
        assert group.rounds < 2, "one round trip"
        under_way = len(group._sent)
        assert under_way
        _one_round(group)

    group.settle()
    assert {core.state.view for core in group.cores.values()} == {1}


def _one_round(group: Cores) -> None:
    group.rounds += 1
    under_way, group._sent = group._sent, deque()
    for to, message in under_way:
        group.arrive(to, message)


def test_a_vote_for_another_proposal_is_answered_with_the_one_accepted_here() -> None:
    backup = a_replica(id=1).having(W.pre_prepare())
    vote = W.prepare(2, of="pay eve")
    answers = [
        effect.message for effect in only(backup.take(vote), Send) if isinstance(effect.message, messages.Testimony)
    ]

    assert answers == [W.testimony(1, W.pre_prepare())]
    again = [effect for effect in only(backup.take(vote), Send) if isinstance(effect.message, messages.Testimony)]
    assert again == [], "once for each tick"


def test_a_late_vote_for_another_proposal_is_heard_though_nobody_needs_it() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2))

    assert backup.state.slots[Seq(1)].prepared
    assert backup.refusal(W.prepare(3)) is Ignored.NOT_NEEDED
    assert backup.refusal(W.prepare(3, of="pay eve")) is None
    assert sent(backup.take(W.prepare(3, of="pay eve")), messages.Testimony)


def test_evidence_in_a_testimony_is_kept_and_not_told_again() -> None:
    found = proof_against(2)
    backup = a_replica(id=1)
    effects = backup.take(W.testimony(3, found.first, found.second))

    assert only(effects, Convict) == [Convict(found)]
    assert sent(effects, messages.Testimony) == []


def test_whoever_has_no_evidence_against_a_convict_gets_it() -> None:
    found = proof_against(2)
    backup = a_replica(id=1).having(W.testimony(3, found.first, found.second))
    at_once = backup.take(W.status(0))
    backup.take(fired(StatusTimer()))
    later = backup.take(W.status(0))
    backup.take(fired(StatusTimer()))
    not_needed = backup.take(W.status(0, convicted=[2]))

    assert sent(at_once, messages.Testimony) == [], "it may be under way"
    assert sent(later, messages.Testimony) == [W.testimony(1, found.first, found.second)]
    assert sent(not_needed, messages.Testimony) == []


def test_status_says_against_whom_there_is_evidence() -> None:
    found = proof_against(2)
    backup = a_replica(id=1).having(W.testimony(3, found.first, found.second))

    (status,) = sent(backup.take(fired(StatusTimer())), Status)
    assert status.convicted == 1 << 2


def test_a_testimony_about_the_primary_of_the_view_ends_it() -> None:
    backup = a_replica(id=2).having(W.testimony(3, W.pre_prepare(), W.pre_prepare(of="pay eve")))

    assert backup.state.view == 1
    assert backup.having(W.testimony(3, W.pre_prepare(), W.pre_prepare(of="pay bob"))).state.view == 1


def test_a_peer_testifies_only_so_much_between_two_ticks_and_makes_up_for_more() -> None:
    backup, peer, claim = a_replica(id=1), ReplicaId(3), W.testimony(3, W.commit(2))
    backup.take(fired(StatusTimer()))
    often = backup.state.answers_per_tick
    assert backup.refusal_of(peer, claim, 1) is None
    assert backup.refusal_of(peer, claim, 2 * HEARD_PER_TICK * often) is None, "one frame may be longer"

    assert backup.refusal_of(peer, claim, 1) is Ignored.HEARD_ENOUGH
    assert backup.refusal_of(ReplicaId(2), W.testimony(2, W.commit(3)), 1) is None
    backup.take(fired(StatusTimer()))
    assert backup.refusal_of(peer, claim, 1) is Ignored.HEARD_ENOUGH
    backup.take(fired(StatusTimer()))
    backup.take(fired(StatusTimer()))
    assert backup.refusal_of(peer, claim, 1) is None


def test_what_matters_only_for_guilt_is_rationed_whatever_its_kind() -> None:
    """A signer can make any number of signatures of one content, and only the content says whether it is guilt."""
    new_view = W.new_view([W.view_change(i) for i in (0, 1, 2)])
    backup, peer = a_replica(id=3).having(new_view), ReplicaId(2)
    again = [replace(message, signature=wire.UNSIGNED) for message in (new_view, W.view_change(2))]
    for message in again:
        assert backup.refusal_of(peer, message, 1) is None, "it may be another one"
    backup.refusal_of(peer, again[0], HEARD_PER_TICK * backup.state.answers_per_tick)

    assert [backup.refusal_of(peer, message, 1) for message in again] == [Ignored.HEARD_ENOUGH] * 2
    assert backup.refusal_of(peer, W.view_change(2, view=2), 1) is None, "this may change something else"


# ── what survives ──


def test_evidence_survives_a_restart_and_convicts_once() -> None:
    found = proof_against(2)
    backup = a_replica(id=1)
    backup.recover([], executed=Seq(0), executed_hash=GENESIS_BLOCK, certificate=None, evidence=[found])

    assert convict(*backup.take(Started())) == []
    assert convict(*backup.take(W.testimony(3, found.first, found.second))) == []
    assert backup.state.witness.convicted == {2}


def test_what_the_last_run_kept_of_others_is_remembered() -> None:
    backup = a_replica(id=1)
    backup.recover(
        [W.pre_prepare(), W.prepared()], executed=Seq(0), executed_hash=GENESIS_BLOCK, certificate=W.certificate(1)
    )

    assert convict(*backup.take(W.prepare(2, of="pay eve"))) == [(2, Rule.TWO_PREPARES)]
    assert convict(*backup.take(W.checkpoint(2, block=block_hash("other")))) == [(2, Rule.TWO_BLOCKS)]


def test_what_two_records_of_the_last_run_prove_is_announced_at_the_start() -> None:
    backup = a_replica(id=1)
    backup.recover(
        [
            W.pre_prepare(),
            W.prepared(),
            W.new_view([W.view_change(i, prepared=[W.prepared(of="pay eve")]) for i in (0, 1, 2)]),
        ],
        executed=Seq(0),
        executed_hash=GENESIS_BLOCK,
        certificate=None,
    )
    effects = backup.take(Started())

    assert (2, Rule.TWO_PREPARES) in convict(*effects)
    assert sent(effects, messages.Testimony)


def test_what_decided_a_block_is_kept_with_it_and_convicts_after_a_restart() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), W.commit(0))
    (remembered,) = only(backup.take(W.commit(2)), Remember)
    restarted = a_replica(id=1)
    recent = [Recent(Seq(1), block_hash(1), None, remembered.commits)]
    restarted.recover([], executed=Seq(1), executed_hash=block_hash(1), certificate=None, recent=recent)

    assert remembered == Remember(Seq(1), W.testimony(1, W.commit(0), W.commit(1), W.commit(2)))
    assert convict(*restarted.take(W.testimony(3, W.commit(2, of="pay eve")))) == [(2, Rule.TWO_COMMITS)]


def test_nobody_is_made_to_forget_what_decided_a_block() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), W.commit(0), W.commit(2), delivered(1))
    votes = [W.commit(2, view=view) for view in range(1, 20)]
    backup.having(W.testimony(2, *votes))

    assert convict(*backup.take(W.testimony(3, W.commit(2, of="pay eve")))) == [(2, Rule.TWO_COMMITS)]


# ── forks: f+1 = 2 of 4 are traitors ──


def fed(group: Cores, to: int, *, seq: int, of: str, view: int = 0, blocks: bool = False) -> None:
    """Traitors 0 and 3 make the replica `to` execute this at `seq`; also CHECKPOINTs for its block, if they should."""
    primary = W.group.primary(View(view))
    assert primary in (0, 3), "a traitor leads"
    group.feed([to], W.pre_prepare(seq=seq, of=of, view=view))
    group.feed([to], *(W.prepare(i, seq=seq, of=of, view=view) for i in (0, 3) if i != primary))
    group.feed([to], *(W.commit(i, seq=seq, of=of, view=view) for i in (0, 3)))
    assert group[to].state.executed == seq
    if blocks:
        group.feed([to], *(W.checkpoint(i, seq=seq, block=group.blocks[to][seq]) for i in (0, 3)))
        assert group[to].state.low == seq


def halves() -> Cores:
    group = Cores(1, 2)
    group.passes = lambda source, to, message: False
    return group


def healed(group: Cores) -> Cores:
    group.passes = lambda source, to, message: True
    group.tick(3)
    return group


@pytest.mark.parametrize("certified", [(), (1,), (2,), (1, 2)])
def test_a_fork_within_a_view_convicts_all_who_made_it(certified: tuple[int, ...]) -> None:
    group = halves()
    for to, name in ((1, "eve"), (2, "bob")):
        fed(group, to, seq=1, of="the same for both", blocks=to in certified)
        for seq in (2, 3, 4):
            fed(group, to, seq=seq, of=f"pay {name} {seq}" if seq == 2 else f"{seq}", blocks=to in certified)

    healed(group)

    assert group.blocks[1][1] == group.blocks[2][1]
    assert group.blocks[1][2] != group.blocks[2][2]
    assert group.convicted(1) | group.convicted(2) == {0, 3}
    assert all(group.convicted(i) == {0, 3} for i in (1, 2) if i not in group.halted)


@pytest.mark.parametrize("certified", [(), (1,), (2,), (1, 2)])
def test_a_fork_across_views_convicts_those_who_hid_what_was_committed(certified: tuple[int, ...]) -> None:
    """View 3 is led by a traitor; its NEW-VIEW is made of VIEW-CHANGEs that are silent about view 0."""
    group = halves()
    fed(group, 1, seq=1, of="pay bob", blocks=1 in certified)
    group.feed([2], W.view_change(0, view=3), W.view_change(3, view=3))
    own = group[2].state.view_changes[ReplicaId(2)]
    group.feed([2], W.new_view([W.view_change(0, view=3), own, W.view_change(3, view=3)]))
    fed(group, 2, seq=1, of="pay eve", view=3, blocks=2 in certified)

    healed(group)

    assert group.convicted(1) | group.convicted(2) == {0, 3}
    assert all(group.convicted(i) == {0, 3} for i in (1, 2) if i not in group.halted)


def test_a_replica_that_must_halt_says_first_what_it_knows() -> None:
    """A traitor hurries to stop it with the other side's certificate."""
    group = halves()
    fed(group, 1, seq=1, of="pay bob", blocks=True)
    fed(group, 2, seq=1, of="pay eve")
    group.passes = lambda source, to, message: True

    certificate = W.certificate(1, block=group.blocks[1][1], by=(0, 1, 3))
    group.feed([2], W.stable(0, certificate))

    assert list(group.halted) == [2]
    assert group.convicted(1) == {0, 3}


def test_new_views_that_others_testify_push_out_none_that_was_acted_upon() -> None:
    """Neither that of the view it is in, in which it has prepared nothing yet, nor those in which it has."""
    backup = a_replica(id=2)
    late = [W.new_view([W.view_change(i, view=view) for i in (0, 1, 3)]) for view in range(20, 30)]
    for view in (3, 7, 11):
        changes = [W.view_change(i, view=view) for i in (0, 1, 3)]
        backup.having(W.new_view(changes), W.testimony(3, *late))
        backup.having(W.pre_prepare(view=view, of="pay eve"), W.prepare(0, view=view, of="pay eve"))
        backup.having(W.testimony(0, *late))

    kept = [new_view.view for new_view in backup.state.witness.memory.new_views()]
    assert kept[:3] == [3, 7, 11]
    assert len(kept) == 3 + CHANGES
    assert convict(*backup.take(W.testimony(1, W.commit(0)))) == [(0, Rule.HIDDEN_COMMIT)]


def test_of_the_new_views_that_were_acted_upon_the_latest_are_remembered() -> None:
    witness = Witness()
    for view in range(1, ACTED_UPON + 10):
        new_view = W.new_view([W.view_change(i, view=view) for i in (0, 1, 2)])
        witness.see(new_view)
        witness.memory.entered(new_view)
        witness.memory.prepared(Seq(1), View(view))

    held = [new_view.view for new_view in witness.memory.new_views()]
    assert held[-(ACTED_UPON + 1) :] == list(range(9, ACTED_UPON + 10)), "and the one that it is in"
    assert len(held) <= ACTED_UPON + 1 + CHANGES
    witness.memory.settle(Seq(SPAN + 1))
    witness.see(W.new_view([W.view_change(i, view=99) for i in (0, 1, 2)]))
    assert len(witness.memory.new_views()) == CHANGES + 1, "what it prepared is long settled"


def test_fewer_new_views_are_remembered_if_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [W.view_change(i, prepared=[W.prepared(seq=seq) for seq in range(1, 9)]) for i in (0, 1, 2)]
    of_one = 1 + 3 + 8 + 3 * 8 * 3
    monkeypatch.setattr("bftledger.pbft.memory.SIGNATURES", 3 * of_one)
    witness = Witness()
    for view in range(1, 20):
        again = [replace(change, view=View(view)) for change in changes]
        witness.memory.entered(replace(W.new_view(changes), view=View(view), view_changes=tuple(again)))
        witness.memory.prepared(Seq(1), View(view))

    assert [new_view.view for new_view in witness.memory.new_views()] == [16, 17, 18, 19]


@pytest.mark.parametrize("guilty", [(1, 2), (0, 1)])
def test_old_convicts_and_such_as_give_themselves_away_hide_no_fork(guilty: tuple[int, int]) -> None:
    group = halves()
    for i in guilty:
        group.feed([1, 2], W.testimony(3, W.prepare(i, seq=90), W.prepare(i, seq=90, of="pay mallory")))
    fed(group, 1, seq=1, of="pay bob")
    fed(group, 2, seq=1, of="pay eve")

    healed(group)

    assert group.convicted(1) >= {0, 3} <= group.convicted(2)


def test_who_is_told_of_a_fork_is_told_all_of_it_a_little_at_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftledger.pbft.kinds.MAX_TESTIMONY_BYTES", 400)
    monkeypatch.setattr("bftledger.pbft.testimony.TOLD_PER_TICK", 300)
    monkeypatch.setattr("bftledger.pbft.state.TOLD_PER_TICK", 300)
    group = Cores(1, 2)
    for seq in range(1, 60):
        fed(group, 1, seq=seq, of=f"{seq}", blocks=True)
    told: set[Message] = set()
    at_once = []
    for _ in range(40):
        group[1].take(fired(StatusTimer()))
        heard = sent(group[1].take(W.status(2, executed=59, executed_hash=block_hash("other"))), messages.Testimony)
        at_once.append(sum(len(wire.encode(each)) for testimony in heard for each in testimony.messages))
        told |= {message for testimony in heard for message in testimony.messages}

    often = group[1].state.answers_per_tick
    assert max(at_once) <= 300 * often + 400
    assert {(type(m), m.replica, m.seq) for m in told if isinstance(m, Commit | messages.Checkpoint)} == {
        (kind, i, seq) for kind in (Commit, messages.Checkpoint) for i in (0, 3) for seq in range(1, 60)
    }, "nothing of its own, and all that others signed"


def test_the_smallest_piece_against_a_convict_is_told() -> None:
    changes = [W.view_change(i) for i in (0, 2, 3)]
    large = [W.new_view(changes), W.new_view([*changes[:2], W.view_change(1)])]
    backup = a_replica(id=3).having(W.testimony(0, *large), W.testimony(0, W.prepare(1), W.prepare(1, of="pay eve")))
    small = backup.state.witness.evidence[ReplicaId(1), Rule.TWO_PREPARES]
    backup.take(fired(StatusTimer()))

    (told,) = sent(backup.take(W.status(2)), messages.Testimony)
    assert told.messages == (small.first, small.second)


# ── what a replica never testifies: what it signed itself ──


def test_a_replica_that_halts_says_nothing_of_its_own_last_round() -> None:
    backup = a_replica(id=1).having(W.pre_prepare())
    backup.having(W.prepare(2), W.commit(0), W.commit(2), delivered(1))
    own = {1}
    assert own <= {vote.replica for vote in backup.state.witness.memory.foundations(Seq(0), Seq(1))}

    words = backup.last_words()

    assert {each.replica for word in words for each in told_in(word)} == {0, 2}


def test_of_its_own_new_view_a_replica_testifies_what_others_signed() -> None:
    primary = a_replica(id=1).having(W.view_change(0), W.view_change(2))
    assert primary.state.view == 1
    assert primary.state.active

    (word,) = primary.last_words()

    assert word == W.testimony(1, W.view_change(0), W.view_change(2))


def test_a_lie_about_a_fork_convicts_nobody_and_costs_little() -> None:
    group = Cores(1, 2)
    fed(group, 1, seq=1, of="pay bob")
    answers = [
        sent(group[1].take(W.status(3, executed=1, executed_hash=block_hash("none"))), messages.Testimony)
        for _ in range(20)
    ]

    assert sum(map(bool, answers)) <= group[1].state.answers_per_tick
    assert group.convicted(1) == group.convicted(2) == set()


# ── honest replicas ──


def test_a_replica_that_lost_its_last_certificate_still_shows_what_it_committed_to() -> None:
    """A certificate's round is not committed by itself: what it settles must not be gone without it."""
    first = a_replica(id=1)
    past: list[Message | Event] = [W.pre_prepare(), W.prepare(2), W.commit(0), W.commit(2), delivered(1)]
    durable = [effect.record for event in past for effect in only(first.take(event), Persist)]
    first.take(W.checkpoint(0))
    first.take(W.checkpoint(2))
    assert first.state.low == 1, "it knew that block 1 was final, and then lost power"
    restarted = a_replica(id=1)
    restarted.recover(durable, executed=Seq(1), executed_hash=block_hash(1), certificate=None)

    effects = restarted.having(W.view_change(2)).take(W.view_change(3))

    (change,) = sent(effects, ViewChange)
    assert evidence(W.commit(1), change) is None
    assert evidence(W.commit(1), W.view_change(1)) is not None


def test_what_a_convict_says_still_counts() -> None:
    """It is one of the f that may be faulty, and a quorum may need its votes."""
    found = proof_against(2)
    backup = a_replica(id=1).having(W.testimony(3, found.first, found.second), W.pre_prepare(seq=2))

    assert backup.refusal(W.prepare(2, seq=2)) is None
    assert sent(backup.take(W.prepare(2, seq=2)), Commit) == [W.commit(1, seq=2)]
