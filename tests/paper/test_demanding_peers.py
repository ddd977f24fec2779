"""Peers that ask, say and pass on more than is of use: what they get, and how much is looked at."""

from bftledger.base.ids import Millis, ReplicaId, Seq
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.effects import Ignore, Ignored, ReadBlocks
from bftledger.pbft.events import BlocksRead
from bftledger.pbft.messages import Blocks, FetchBlocks, Message, Proposed
from bftledger.pbft.replica import Replica
from bftledger.pbft.state import FORGIVEN_PER_TICK
from bftledger.pbft.timers import StatusTimer
from bftledger.pbft.transfer import BYTES_PER_TICK
from tests.builders import FAST, TestedReplica, Writer, a_replica, delivered, fired, only, sent

W = Writer()


def is_let_in(replica: Replica, message: Message) -> bool:
    """Whether the door checks its signature at all."""
    door = Authenticator(W.group, FAST.verifier)
    return door.authenticate(wire.encode(message), lambda found: replica.refusal(found) is None) is not None


# ── STATUS ──


def test_a_status_is_not_looked_at_when_its_sender_has_had_its_answers() -> None:
    replica = a_replica(id=1).having(W.status(2), W.status(2))

    assert not is_let_in(replica, W.status(2))
    assert replica.take(W.status(2)) == (Ignore(Ignored.ASKED_TOO_OFTEN),)
    assert is_let_in(replica, W.status(3)), "what one does is not held against others"


def test_a_regular_status_always_passes_though_ticks_are_not_in_step() -> None:
    """It is also the sign that its sender is alive. Two may come between two ticks of a correct receiver."""
    replica = a_replica(id=1).having(W.relay(0, "pay bob"))
    passed = []
    for _ in range(5):
        for _ in range(2):
            passed.append(is_let_in(replica, W.status(2)))
            replica.take(W.status(2))
        replica.take(fired(StatusTimer()))

    assert passed == [True] * 10
    assert 2 not in replica.state.unheard


def test_a_replica_that_rests_listens_as_often_as_one_that_works() -> None:
    """Its own ticks are rarer then: a peer that is not at rest says more between two of them."""
    replica = a_replica(id=1).having(fired(StatusTimer()), *[W.status(2)] * 10)

    assert is_let_in(replica, W.status(2))
    assert not is_let_in(replica.having(W.status(2)), W.status(2))


# ── RELAY ──


def test_a_relay_is_not_looked_at_when_its_room_is_full() -> None:
    """Each transaction in it has a signature to be checked."""
    primary = a_replica(id=0, pool_count=16, pipeline=0).having(W.relay(2, "a", "b"))

    assert not is_let_in(primary, W.relay(2, "c"))
    assert primary.take(W.relay(2, "c")) == (Ignore(Ignored.SHARE_USED),)
    assert is_let_in(primary, W.relay(3, "c"))


def test_who_passes_on_much_in_vain_is_not_listened_to_for_a_while() -> None:
    primary = a_replica(id=0)
    primary.relayed_in_vain(ReplicaId(2), 3 * FORGIVEN_PER_TICK)
    outcomes = []
    for _ in range(4):
        outcomes.append(is_let_in(primary, W.relay(2, "a")))
        primary.take(fired(StatusTimer()))
        primary.state.answers_per_tick = 1

    assert outcomes == [False, False, False, True]
    assert primary.state.wasted == {}


def test_what_finds_no_room_counts_as_passed_on_in_vain() -> None:
    primary = a_replica(id=0, pool_count=16, pipeline=0).having(W.relay(2, "a", "b", "c", "d"))

    assert primary.state.wasted == {2: 2}


# ── blocks and proposals ──


def executed() -> TestedReplica:
    return a_replica(id=1).having(
        W.pre_prepare(),
        *(vote for i in (2, 3) for vote in (W.prepare(i), W.commit(i))),
        delivered(1, "pay bob"),
        *(W.checkpoint(i) for i in (2, 3)),
    )


def answered(replica: TestedReplica, size: int) -> bool:
    """Whether a FETCH-BLOCKS is answered, with so many bytes."""
    if not only(replica.take(W.fetch_blocks(3)), ReadBlocks):
        return False
    blocks = (bytes(size),)
    read = BlocksRead(ReplicaId(3), Seq(1), blocks, (), W.certificate(1, by=(1, 2, 3)))
    return bool(sent(replica.take(read), Blocks))


def test_who_lags_gets_so_many_bytes_of_blocks_between_two_ticks() -> None:
    replica = executed()
    outcomes = [answered(replica, BYTES_PER_TICK // 4) for _ in range(8)]
    replica.take(fired(StatusTimer()), now=Millis(0))
    again = answered(replica, 1)

    assert outcomes == [True] * 4 + [False] * 4
    assert again


def test_who_asks_early_has_one_answer_and_it_counts() -> None:
    replica = a_replica(id=1).having(
        W.pre_prepare(), *(vote for i in (2, 3) for vote in (W.prepare(i), W.commit(i))), delivered(1, "pay bob")
    )
    replica.having(*(W.fetch_blocks(3) for _ in range(50)), W.checkpoint(2))
    effects = replica.take(W.checkpoint(3))

    assert only(effects, ReadBlocks) == [ReadBlocks(ReplicaId(3), Seq(1))]
    assert replica.state.answered[ReplicaId(3), FetchBlocks] == 1


def test_proposals_count_like_blocks() -> None:
    replica = a_replica(id=1).having(W.pre_prepare())
    replica.state.sent_bytes[ReplicaId(3)] = BYTES_PER_TICK - 1

    assert sent(replica.take(W.fetch_proposal(3)), Proposed) == [W.proposed(1)]
    replica.state.answered.clear()
    assert replica.take(W.fetch_proposal(3)) == (Ignore(Ignored.NOT_NEEDED),)
    assert sent(replica.take(W.fetch_proposal(2)), Proposed) == [W.proposed(1)]
