"""Catching up through BLOCKS: peers that lie are found out, and the next one is asked."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from bftledger.base.ids import Digest, Millis, ReplicaId, Seq
from bftledger.engine import engine as engine_module
from bftledger.engine.engine import Halted
from bftledger.ledger.block import Block
from bftledger.ledger.chain import verify_segment
from bftledger.pbft import wire
from bftledger.pbft.events import Event
from bftledger.pbft.messages import Blocks, FetchBlocks, Message, Stable
from bftledger.pbft.transfer import BLOCKS_PER_TICK
from tests.engine.engines import START, Engines, a_genesis

LATE = 3
ASKED_FIRST = 1
"""The signer that comes after it, but for the primary."""


def a_group_that_left_one_behind(blocks: int = 5) -> Engines:
    group = Engines()
    group.crash(LATE)
    for number in range(1, blocks + 1):
        group.commit(group.transaction(f"put color {number}"))
    return group


def another_ledger(blocks: int = 5) -> Engines:
    """The same replicas with another history: what a group would have if all of it lied."""
    group = Engines()
    for number in range(1, blocks + 1):
        group.commit(group.transaction(f"put color not-{number}"))
    return group


def foreign_ledger(blocks: int = 5) -> Engines:
    group = Engines(genesis=a_genesis(max_payload_bytes=1_000))
    for number in range(1, blocks + 1):
        group.commit(group.transaction(f"put color {number}"))
    return group


def blocks_of(group: Engines) -> tuple[bytes, ...]:
    return tuple(group.hosts[0].store.blocks(Seq(1), 100, 1 << 20))


def other_blocks(message: Blocks) -> Blocks:
    return replace(message, blocks=blocks_of(another_ledger())[: len(message.blocks)])


def other_blocks_and_headers(message: Blocks) -> Blocks:
    first, *rest = blocks_of(another_ledger())
    return replace(message, blocks=(first,), headers=tuple(Block.decode(data).header.encoded for data in rest))


def foreign_blocks(message: Blocks) -> Blocks:
    return replace(message, blocks=blocks_of(foreign_ledger())[: len(message.blocks)])


def blocks_without_their_end(message: Blocks) -> Blocks:
    return replace(message, blocks=message.blocks[:-1])


def blocks_in_another_order(message: Blocks) -> Blocks:
    return replace(message, blocks=message.blocks[::-1])


def a_block_changed(message: Blocks) -> Blocks:
    block = Block.decode(message.blocks[1])
    header = replace(block.header, state_root=Digest(bytes(32)))
    return replace(message, blocks=(message.blocks[0], replace(block, header=header).encoded, *message.blocks[2:]))


def headers_not_linked(message: Blocks) -> Blocks:
    first, *rest = message.blocks
    headers = [Block.decode(data).header.encoded for data in rest]
    return replace(message, blocks=(first,), headers=(headers[0], *headers[2:]))


def no_blocks_at_all(message: Blocks) -> Blocks:
    return replace(message, blocks=(b"no block",), headers=())


LIES: list[Callable[[Blocks], Blocks]] = [
    other_blocks,
    other_blocks_and_headers,
    foreign_blocks,
    blocks_without_their_end,
    blocks_in_another_order,
    a_block_changed,
    headers_not_linked,
    no_blocks_at_all,
]


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_peer_is_believed_nothing_and_an_honest_one_asked(lie: Callable[[Blocks], Blocks]) -> None:
    group = a_group_that_left_one_behind()
    group.start(LATE)
    lies: list[int] = []

    def lens(source: int, to: int, message: Message) -> bool:
        if to != LATE or source != ASKED_FIRST or not isinstance(message, Blocks):
            return True
        lies.append(source)
        group.peer_frame(LATE, wire.encode(group.signed(lie(message))))
        return False

    group.passes = lens
    group.run(3_000)

    assert lies == [ASKED_FIRST]
    late = group.hosts[LATE]
    assert late.up.dropped["BadProof"] + late.up.dropped["Malformed"] == 1
    assert late.height == 5
    assert late.store.block_hash(Seq(5)) == group.hosts[1].store.block_hash(Seq(5))


def test_blocks_with_a_certificate_of_too_few_are_dropped_at_the_door() -> None:
    group = a_group_that_left_one_behind()
    group.start(LATE)
    late = group.hosts[LATE]

    def lens(source: int, to: int, message: Message) -> bool:
        if to != LATE or source != ASKED_FIRST or not isinstance(message, Blocks):
            return True
        weak = replace(message.certificate, signatures=message.certificate.signatures[:2])
        group.peer_frame(LATE, wire.encode(group.signed(replace(message, certificate=weak))))
        return False

    group.passes = lens
    group.run(3_000)

    assert late.up.dropped["BadProof"] == 1
    assert late.height == 5


def test_a_silent_peer_is_not_asked_for_ever() -> None:
    group = a_group_that_left_one_behind()
    group.start(LATE)
    group.passes = lambda source, to, message: not (source == ASKED_FIRST and isinstance(message, Blocks))
    group.run(3_000)

    assert group.hosts[LATE].height == 5


def test_a_long_way_is_fetched_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "BLOCKS_PER_ANSWER", 3)
    group = a_group_that_left_one_behind(20)
    group.start(LATE)
    group.run(2_000)

    assert group.hosts[LATE].height == 20
    group.commit(group.transaction())
    assert group.hosts[LATE].height == 21


@pytest.mark.parametrize(("at_most", "blocks", "headers"), [(1, 1, 1), (2, 2, 0), (3, 2, 0), (5, 4, 0)])
def test_an_answer_ends_at_a_certified_block_or_headers_lead_to_the_next(
    monkeypatch: pytest.MonkeyPatch, at_most: int, blocks: int, headers: int
) -> None:
    monkeypatch.setattr(engine_module, "BLOCKS_PER_ANSWER", 2)
    group = a_group_that_left_one_behind(8)
    group.start(LATE)
    group.run(2_000)
    engine = group.engine(LATE)
    assert engine.store.next_certified(Seq(3)) == 4
    monkeypatch.setattr(engine_module, "BLOCKS_PER_ANSWER", at_most)
    asked = FetchBlocks(first=Seq(1), replica=ReplicaId(2), signature=wire.UNSIGNED)

    engine.on_peer(asked.replica, wire.encode(group.signed(asked)), Millis(START + group.now))
    ((to, frame),) = engine.end_round(Millis(START + group.now)).to_peers

    message = wire.decode(frame, group.genesis.genesis_hash)
    assert to == 2
    assert isinstance(message, Blocks)
    assert (len(message.blocks), len(message.headers), message.certificate.seq) == (blocks, headers, blocks + headers)
    genesis_block = Engines().engine(0).ledger.tip
    verify_segment(genesis_block, message.blocks, message.headers, message.certificate)


def test_a_peer_that_feeds_slowly_delays_a_laggard_by_its_turns_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers with one block at a time, and each just before the next would have been asked."""
    group = a_group_that_left_one_behind(200)
    first = group.engine(ASKED_FIRST)
    read = first._read

    def one_block(to: ReplicaId, height: Seq) -> Event | None:
        with monkeypatch.context() as only_here:
            only_here.setattr(engine_module, "BLOCKS_PER_ANSWER", 1)
            return read(to, height)

    def slowly(source: int, to: int, message: Message) -> bool:
        if source != ASKED_FIRST or not isinstance(message, Blocks):
            return True
        group._at(group.now + 90, partial(group.peer_frame, to, wire.encode(message)))
        return False

    monkeypatch.setattr(first, "_read", one_block)
    group.passes = slowly
    group.start(LATE)

    assert group.run(1_000, lambda: group.hosts[LATE].height == 200)


def test_blocks_whose_proof_is_too_far_away_are_refused() -> None:
    """Who installed them could not prove them to others in its turn."""
    group = a_group_that_left_one_behind(80)
    group.start(LATE)
    lies: list[int] = []

    def lens(source: int, to: int, message: Message) -> bool:
        if to != LATE or source != ASKED_FIRST or not isinstance(message, Blocks) or lies:
            return True
        lies.append(len(message.blocks))
        chain = blocks_of(group)[message.first - 1 :]
        far = group.hosts[0].store.newest_certificate()
        assert far is not None
        headers = tuple(Block.decode(data).header.encoded for data in chain[1:])
        lie = replace(message, blocks=chain[:1], headers=headers, certificate=far)
        group.peer_frame(LATE, wire.encode(group.signed(lie)))
        return False

    group.passes = lens
    late = group.engine(LATE)

    assert group.run(3_000, lambda: group.hosts[LATE].height == 80)
    assert lies
    assert late.dropped["TooLongAWay"] == 1


def ask_for_blocks(group: Engines, by: int) -> None:
    """Replica 0 gets a FETCH-BLOCKS."""
    asked = group.signed(FetchBlocks(first=Seq(1), replica=ReplicaId(by), signature=wire.UNSIGNED))
    group.engine(0).on_peer(asked.replica, wire.encode(asked), Millis(START + group.now))


def test_each_peer_is_given_blocks_once_in_a_round_however_often_others_ask() -> None:
    group = a_group_that_left_one_behind()
    for by in [1] * 10 + [2, LATE]:
        ask_for_blocks(group, by)

    sent = group.engine(0).end_round(Millis(START + group.now)).to_peers
    assert [to for to, _ in sent] == [1, 2, LATE]


def test_who_asks_for_blocks_all_the_time_is_given_only_so_many_between_two_ticks() -> None:
    group = a_group_that_left_one_behind()
    group.engine(0).replica.state.answers_per_tick = 1
    answers = 0
    for _ in range(3 * BLOCKS_PER_TICK):
        ask_for_blocks(group, LATE)
        answers += len(group.engine(0).end_round(Millis(START + group.now)).to_peers)

    assert answers == BLOCKS_PER_TICK


@pytest.mark.parametrize("intervals", [3, 30])
def test_a_replica_catches_up_where_answers_take_longer_than_it_waits_before_it_asks_another(intervals: int) -> None:
    group = a_group_that_left_one_behind()
    group.delay = intervals * group.settings.status_interval_ms // 2
    group.start(LATE)

    assert group.run(4 * group.delay * intervals, lambda: group.hosts[LATE].height == 5)


def test_blocks_that_are_slow_to_come_are_asked_for_less_and_less_often() -> None:
    group = a_group_that_left_one_behind()
    group.start(LATE)
    asked: list[int] = []

    def see(source: int, to: int, message: Message) -> bool:
        if isinstance(message, FetchBlocks):
            asked.append(group.now)
        return not isinstance(message, Blocks)

    group.passes = see
    group.run(6_000)

    _, *waits = [(b - a) // group.settings.status_interval_ms for a, b in pairwise(asked)]
    assert waits == sorted(waits)
    assert sorted(set(waits)) == [1, 2, 4, 8]


@pytest.mark.parametrize("gap", [1, 3])
def test_a_replica_whose_own_block_the_certified_chain_contradicts_halts(gap: int) -> None:
    """It would otherwise ask one honest peer after the other for ever."""
    group, other = a_group_that_left_one_behind(2 + gap), another_ledger(2)
    late = other.new_engine(LATE)
    late.start(START)
    late.end_round(START)
    newest = group.hosts[0].store.newest_certificate()
    assert newest is not None
    stable = group.signed(Stable(certificate=newest, replica=ReplicaId(0), signature=wire.UNSIGNED))
    late.on_peer(stable.replica, wire.encode(stable), START)
    fetch = late.replica.state.fetch
    assert fetch is not None
    blocks = Blocks(
        first=fetch.first,
        blocks=blocks_of(group)[fetch.first - 1 :],
        headers=(),
        certificate=newest,
        replica=fetch.peer,
        signature=wire.UNSIGNED,
    )

    with pytest.raises(Halted, match="block 2"):
        late.on_peer(blocks.replica, wire.encode(group.signed(blocks)), START)
    with pytest.raises(Halted):
        late.end_round(START)


def test_a_replica_that_executes_certified_blocks_differently_halts() -> None:
    group = a_group_that_left_one_behind(3)
    group.start(LATE)
    late = group.engine(LATE)
    late.ledger.executor.state.update({b"color": b"something that nobody wrote"})

    with pytest.raises(Halted, match="this replica differs"):
        group.run(3_000)
    group.store(LATE).crash()
    assert group.hosts[LATE].store.height() == 0
