"""Who is suspected and who is not: slow primaries and censors are replaced, loaded ones stay."""

import pytest

from bftledger.adversary.catalogue import parse
from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.messages import PrePrepare, Relay, Status
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.suspicion import patience
from bftledger.pbft.turns import least_cost
from tests.engine.engines import START, Engines


def views(group: Engines) -> list[tuple[int, bool]]:
    """Where those that run are."""
    return [(host.up.replica.state.view, host.up.replica.state.active) for host in group.up]


def has(group: Engines, tx: Transaction, replica: int = 3) -> bool:
    return bool(group.hosts[replica].store.locate([tx.id]))


def pre_prepare(group: Engines, *transactions: Transaction, seq: int, to: tuple[int, ...] = (1, 2, 3)) -> None:
    """What the Byzantine replica 0 says as the primary of view 0."""
    proposal = make_proposal(Millis(START + group.now), transactions)
    signed = group.signed(
        PrePrepare(view=View(0), seq=Seq(seq), digest=proposal.digest, replica=ReplicaId(0), signature=wire.UNSIGNED)
    )
    frame = wire.encode(
        PrePrepare(
            view=signed.view,
            seq=signed.seq,
            digest=signed.digest,
            replica=signed.replica,
            signature=signed.signature,
            proposal=proposal,
        )
    )
    for i in to:
        group.peer_frame(i, frame)


# ── slow primaries and censors ──


@pytest.mark.parametrize("knowing", [(1, 2, 3), (3,)], ids=["all know it", "one backup knows it"])
def test_a_primary_that_orders_only_the_oldest_transaction_from_time_to_time_is_replaced(
    knowing: tuple[int, ...],
) -> None:
    """Whatever it orders next is the oldest of each; the timer of the oldest alone would never run out."""
    group = Engines()
    group.run(100)
    group.crash(0)
    junk = [group.transaction(by="mallory") for _ in range(40)]
    honest = group.transaction()
    for i in knowing:
        group.submit(i, *junk, honest)
    group.run(10)
    seq = 1
    while group.now < 4_000 and not has(group, honest):
        if views(group) == [(0, True)] * 3:
            oldest = [group.engine(i).replica.state.pool.oldest() for i in (1, 2, 3)]
            pre_prepare(group, *{tx.id: tx for tx in oldest if tx}.values(), seq=seq)
            seq += 1
        group.run(400)

    assert has(group, honest)
    assert views(group) == [(1, True)] * 3


def test_full_batches_do_not_excuse_a_censor_for_longer_than_turns_could_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Engines(batch_count=10, pool_count=80, batch_bytes=131_072, pool_bytes=262_144, pipeline=2)
    group.run(100)
    censored = group.transaction(by="carol")
    primary = group.engine(0)
    fresh = primary._fresh

    def without_one(transactions: tuple[Transaction, ...], now: Millis) -> tuple[Transaction, ...]:
        return tuple(tx for tx in fresh(transactions, now) if tx.id != censored.id)

    monkeypatch.setattr(primary, "_fresh", without_one)
    group.submit(3, censored)
    cost = least_cost(group.settings)
    most = patience(group.engine(3).replica.state, cost) // cost // group.settings.batch_count
    while views(group)[3] == (0, True) and group.hosts[3].height < 10 * most:
        group.submit(0, *[group.transaction() for _ in range(20)])
        group.run(200)

    assert most <= group.hosts[3].height < 2 * most
    assert group.run(2_000, lambda: has(group, censored))
    assert views(group) == [(1, True)] * 4


def test_who_submits_what_is_created_too_late_for_some_shields_no_primary() -> None:
    """Nobody is accused for what others may refuse; so it must not stand before what they cannot."""
    group = Engines()
    group.passes = lambda source, to, message: not (source == 0 and isinstance(message, PrePrepare))
    group.run(100)
    early, honest = group.transaction(by="mallory", created=5_900), group.transaction()
    group.submit(3, early)
    group.run(10)
    group.submit(3, honest)

    assert group.run(2_500, lambda: has(group, honest))
    assert views(group) == [(1, True)] * 4


@pytest.mark.parametrize("percent", [40, 60, 90])
@pytest.mark.parametrize("by", [(1, 2, 3), (2,)], ids=["all pass on", "one backup passes on"])
def test_a_primary_that_delays_each_proposal_by_less_than_its_time_out_is_replaced(
    percent: int, by: tuple[int, ...]
) -> None:
    """No limit of its own is broken; it is slow only compared with the others."""
    group = Engines(traitors={0: [parse(f"slow:{percent}")]})
    group.run(100)
    sent = []
    while group.now < 5_000 and [view for view, active in views(group) if active] != [1] * 4:
        sent.append(group.transaction())
        group.submit(by[len(sent) % len(by)], sent[-1])
        group.run(40)
    replaced_after = group.now

    assert replaced_after < 3_500
    assert group.run(1_000, lambda: all(has(group, tx) for tx in sent))
    assert views(group) == [(1, True)] * 4


# ── honest primaries under load ──


@pytest.mark.parametrize("delay", [1, 20, 60])
@pytest.mark.parametrize("every", [3, 40, 300])
def test_a_primary_that_has_what_it_needs_is_not_suspected_for_a_slow_network(delay: int, every: int) -> None:
    """Messages take up to an eighth of T, and clients give everything to backups."""
    group = Engines(delay=delay)
    group.run(1_000)
    for i in range(3_000 // every):
        group.submit(1 + i % 3, group.transaction())
        group.run(every)

    assert views(group) == [(0, True)] * 4
    assert all(host.up.replica.state.pace.doublings == 0 for host in group.hosts)


@pytest.mark.parametrize("backup", [1, 3])
def test_a_backup_that_sets_its_clock_all_the_time_suspects_nobody(backup: int) -> None:
    group = Engines()
    group.run(100)
    for i in range(60):
        group.hosts[backup].skew = 900 if i % 2 else -900
        group.submit(1 + i % 3, group.transaction(created=-1_000))
        group.run(50)

    assert views(group) == [(0, True)] * 4


def test_a_primary_that_works_off_a_full_pool_is_not_suspected() -> None:
    """A block takes 0.3 s, and what a client submits last waits for 7 s of its own and of others' transactions."""
    group = Engines(delay=100, pool_count=2_000, pool_share=2_000, batch_count=50, pipeline=1)
    group.run(500)
    group.submit(0, *[group.transaction(by="bob") for _ in range(2_000)])
    group.run(50)
    late = group.transaction(by="carol")
    group.submit(3, *[group.transaction(by="carol") for _ in range(600)], late)
    group.run(5_000)
    waits = not has(group, late)

    assert waits
    assert group.run(60_000, lambda: has(group, late))
    assert views(group) == [(0, True)] * 4


def test_a_primary_that_works_off_the_full_pools_of_all_backups_is_not_suspected() -> None:
    """They have more than it takes from them at a time, and pass on the rest as it takes it."""
    group = Engines(delay=60, pool_count=2_000, pool_share=2_000, batch_count=50, pipeline=2)
    group.run(500)
    pending = [[group.transaction(by=f"client {i}") for _ in range(600)] for i in (1, 2, 3)]
    for i in (1, 2, 3):
        group.submit(i, *pending[i - 1])

    assert group.run(60_000, lambda: all(has(group, tx, 0) for txs in pending for tx in txs))
    assert views(group) == [(0, True)] * 4


# ── who leaves a view alone is out of it ──


@pytest.mark.parametrize("seq", [1, 40])
@pytest.mark.parametrize("victim", [1, 2, 3])
def test_a_proposal_that_nobody_may_order_does_not_make_its_only_reader_leave(victim: int, seq: int) -> None:
    """The genesis forbids it, so no replica takes it from another: who held on to it would wait alone."""
    group = Engines()
    group.run(100)
    bad = [group.transaction(by="mallory", lifetime=10**12), group.transaction(by="mallory", created=20_000)]
    pre_prepare(group, *bad, group.transaction(payload=b"nonsense"), seq=seq, to=(victim,))
    group.run(3_000)

    assert views(group) == [(0, True)] * 4
    assert len(group.engine(victim).replica.state.pool) == 0


def test_what_only_the_fastest_clock_finds_created_in_time_is_refused_there() -> None:
    group = Engines()
    group.hosts[2].skew = 1_000
    group.run(3_000)
    group.submit(2, group.transaction(created=10_990))
    early, replies = group.transaction(created=6_900), group.taken()
    group.submit(2, early)
    group.run(3_000)

    assert replies == []
    assert has(group, early)
    assert group.engine(2).desk.submissions.refused["not admissible"] == 1
    assert views(group) == [(0, True)] * 4


def test_a_replica_that_was_cut_off_does_not_blame_the_primary() -> None:
    group = Engines()
    group.run(100)
    group.cut_off(3)
    waiting = group.transaction()
    group.submit(3, waiting)
    group.submit(0, group.transaction())
    group.run(5_000)
    group.cut_off()

    assert group.run(1_000, lambda: all(has(group, waiting, i) for i in range(4)))
    assert views(group) == [(0, True)] * 4


def test_who_fetches_the_blocks_that_leave_out_what_expired_does_not_wait_for_it() -> None:
    """Blocks do not tell what they leave out, and no replica takes from another what the ledger's time has passed."""
    group = Engines()
    group.run(100)
    group.cut_off(3)
    short = group.transaction(lifetime=200)
    group.submit(3, short)
    for _ in range(5):
        group.run(100)
        group.submit(0, group.transaction())
    group.run(100)
    group.cut_off()
    caught_up = group.run(1_000, lambda: group.hosts[3].height == group.hosts[0].height)

    assert caught_up
    assert len(group.engine(3).replica.state.pool) == 0
    assert not has(group, short)


# ── one replica's junk is one replica's share ──


def test_what_a_byzantine_replica_passes_on_keeps_out_no_client() -> None:
    group = Engines(pool_count=80, pool_share=20, batch_count=10)
    group.run(50)
    group.crash(3)
    honest = []
    for i in range(30):
        honest.append(group.transaction())
        for to in (0, 1, 2):
            for j in range(8):
                junk = tuple(group.transaction(by=f"sybil {j}") for _ in range(10))
                relay = Relay(transactions=junk, replica=ReplicaId(3), signature=wire.UNSIGNED)
                group.peer_frame(to, wire.encode(group.signed(relay)))
            group.submit(to, honest[i], route=b"alice")
        group.run(4)
    group.run(500)

    assert {type(reply).__name__ for reply in group.taken(b"alice")} == {"Committed"}
    assert all(has(group, tx, 0) for tx in honest)


# ── whoever speaks for another is not listened to ──


def test_a_status_that_another_replica_brings_again_uses_up_nothing() -> None:
    group = Engines()
    group.run(50)
    group.passes = lambda source, to, message: isinstance(message, PrePrepare)
    group.submit(0, group.transaction())
    group.run(300)
    engine, now = group.engine(1), Millis(START + group.now)
    status = Status(
        view=View(0), active=True, stable=Seq(0), executed=Seq(0), slots=(), view_changes=0, replica=ReplicaId(3),
        signature=wire.UNSIGNED,
    )  # fmt: skip
    frame = wire.encode(group.signed(status))
    engine.on_peer(ReplicaId(0), frame, now)
    brought = engine.end_round(now).to_peers
    engine.on_peer(ReplicaId(3), frame, now)
    own = engine.end_round(now).to_peers

    assert brought == []
    assert [to for to, _ in own] == [3]
    assert engine.dropped["NotItsSender"] == 1
    assert engine.counters()["dropped from peers: NotItsSender"] == 1
