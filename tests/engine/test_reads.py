"""Reads: with proof or on a replica's word, at a height, and the newest height that a replica has signed."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from bftledger.apps.machine import MALFORMED
from bftledger.base.ids import Seq
from bftledger.engine import heights, reads
from bftledger.engine.submissions import RETRY_MS
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import AskHeight, BlockReply, Busy, HeightReply, Query, QueryReply, Refused
from bftledger.ledger.reads import verify_height, verify_read
from bftledger.pbft.messages import Checkpoint
from tests.builders import FAST
from tests.engine.engines import ME, Engines


def get(key: bytes = b"color", *, certified: bool = True, minimum: int = 0, number: int = 1) -> Query:
    return Query(request_id=number, args=key, certified=certified, minimum=Seq(minimum))


def height(minimum: int = 0, number: int = 1) -> AskHeight:
    return AskHeight(request_id=number, minimum=Seq(minimum))


def a_group_of(blocks: int) -> Engines:
    """Block h says that color is h."""
    group = Engines()
    for number in range(1, blocks + 1):
        group.commit(group.transaction(f"put color {number}"))
    return group


def without_certificates(group: Engines, *heights: int) -> None:
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq in heights)


# ── QUERY ──


@pytest.mark.parametrize("replica", range(4))
def test_a_certified_read_proves_the_value_at_its_height(replica: int) -> None:
    group = a_group_of(2)

    reply = group.answer(replica, get())

    assert isinstance(reply, QueryReply)
    header = verify_read(reply, b"color", Seq(2), group.genesis, FAST.verifier)
    assert header.height == reply.height == 2
    assert reply.value is not None
    assert group.machine.show_value(b"color", reply.value)["value"] == "2"


def test_a_certified_read_proves_that_a_key_is_absent() -> None:
    group = a_group_of(1)

    reply = group.answer(1, get(b"shape"))

    assert isinstance(reply, QueryReply)
    assert reply.value is None
    verify_read(reply, b"shape", Seq(1), group.genesis, FAST.verifier)


def test_a_certified_read_waits_for_the_certificate_and_keeps_its_value() -> None:
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)
    group.ask(0, get())
    group.run(20)
    assert group.hosts[0].height == 2
    assert group.taken() == []

    group.cut_off()
    group.run(1_000)

    (reply,) = group.taken()
    assert isinstance(reply, QueryReply)
    assert verify_read(reply, b"color", Seq(2), group.genesis, FAST.verifier).height == 2


def test_a_read_of_a_block_that_never_gets_its_certificate_is_answered_by_the_one_that_does() -> None:
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)
    group.ask(0, get())
    group.submit(0, group.transaction("put color 3"), route=b"writer")
    group.run(60)

    (reply,) = group.taken()
    assert isinstance(reply, QueryReply)
    assert verify_read(reply, b"color", Seq(2), group.genesis, FAST.verifier).height == 3
    assert group.engine(0).desk.reads.waiting == 0


def test_a_local_read_is_answered_at_once_and_without_proof() -> None:
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)

    reply = group.answer(0, get(certified=False), ms=0)

    assert isinstance(reply, QueryReply)
    assert (reply.height, reply.proof) == (2, None)


def test_at_height_0_there_is_nothing_to_prove() -> None:
    group = Engines()

    reply = group.answer(0, get())

    assert reply == QueryReply(request_id=1, value=None, height=Seq(0), proof=None)


@pytest.mark.parametrize("certified", [True, False])
def test_a_read_with_a_minimum_waits_until_that_height_is_there(certified: bool) -> None:
    group = a_group_of(1)
    group.ask(2, get(certified=certified, minimum=2))
    group.run(100)
    assert group.taken() == []

    group.commit(group.transaction("put color 2"))
    group.run(50)

    (reply,) = group.taken()
    assert isinstance(reply, QueryReply)
    assert reply.height == 2


def test_what_the_application_cannot_look_up_is_refused() -> None:
    group = Engines()

    reply = group.answer(0, get(b""))

    assert isinstance(reply, Refused)
    assert reply.code == MALFORMED
    assert group.engine(0).desk.reads.waiting == 0


# ── ASK-HEIGHT ──


def test_the_height_of_a_group_without_blocks_is_its_genesis_block() -> None:
    group = Engines()

    reply = group.answer(3, height())

    assert isinstance(reply, BlockReply)
    assert Block.decode(reply.block).hash == group.engine(0).ledger.tip.hash


@pytest.mark.parametrize("replica", range(4))
def test_the_height_comes_with_its_certificate(replica: int) -> None:
    group = a_group_of(3)

    reply = group.answer(replica, height())

    assert isinstance(reply, HeightReply)
    assert verify_height(reply, Seq(3), group.genesis, FAST.verifier).height == 3


def test_no_height_is_told_that_is_not_certified_nor_one_below_what_was_signed_when_asked() -> None:
    """Whoever signed block 2 may have been one of the quorum that acknowledged it."""
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)
    assert any(vote.seq == 2 for vote in group.hosts[0].promised)

    group.ask(0, height())
    group.run(20)
    assert group.taken() == []

    group.cut_off()
    group.run(1_000)
    (reply,) = group.taken()
    assert isinstance(reply, HeightReply)
    assert verify_height(reply, Seq(2), group.genesis, FAST.verifier).height == 2


def test_a_later_certificate_answers_for_a_height_whose_own_never_came() -> None:
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)
    group.ask(0, height())
    group.submit(0, group.transaction("put color 3"), route=b"writer")
    group.run(60)

    (reply,) = group.taken()
    assert isinstance(reply, HeightReply)
    assert verify_height(reply, Seq(2), group.genesis, FAST.verifier).height == 3


def test_a_height_is_asked_for_before_it_exists_and_told_when_it_does() -> None:
    group = a_group_of(1)
    group.ask(1, height(minimum=3))
    group.commit(group.transaction())
    assert group.taken() == []

    group.commit(group.transaction())
    group.run(50)

    (reply,) = group.taken()
    assert isinstance(reply, HeightReply)
    assert reply.header.height == 3


# ── bounds ──


def test_reads_that_wait_for_a_height_that_never_comes_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_WAITING", 4)
    group = a_group_of(1)
    for number in range(4):
        group.ask(0, height(minimum=1 << 62, number=number), route=b"hostile")
    group.run(1)

    group.ask(0, get(minimum=1))
    group.run(1)
    assert [type(reply) for reply in group.taken()] == [QueryReply], "who need not wait needs no room"
    assert group.taken(b"hostile") == []
    group.ask(0, get(minimum=2))
    group.run(1)
    assert group.taken() == []
    assert group.taken(b"hostile") == [Busy(request_id=3, retry_ms=RETRY_MS)]
    assert group.engine(0).desk.reads.waiting == group.engine(0).desk.reads.held == 4

    group.commit(group.transaction())
    group.run(1)
    assert [type(reply) for reply in group.taken()] == [QueryReply]
    assert group.engine(0).desk.reads.waiting == 3


def test_no_block_costs_more_because_many_wait_for_heights_that_never_come() -> None:
    """Seen once: a scan of all in every round halved what the group did, long after who had asked was gone."""

    def lines_run(waiting: int) -> int:
        group = a_group_of(1)
        for number in range(waiting):
            group.ask(0, height(minimum=(1 << 62) + number % 2, number=number), route=b"hostile")
        group.run(1)
        assert group.engine(0).desk.reads.waiting == waiting
        return lines_in(lambda: group.commit(group.transaction()), reads.__file__, heights.__file__)

    assert lines_run(500) == lines_run(1) > 0


def lines_in(act: Callable[[], object], *files: str) -> int:
    """How many lines of these files are run."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def test_reads_beyond_the_bound_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_WAITING", 2)
    group = a_group_of(1)
    without_certificates(group, 2)
    group.submit(0, group.transaction("put color 2"), route=b"writer")
    group.run(50)
    for number in range(3):
        group.ask(0, get(number=number))
    group.run(1)

    (reply,) = group.taken(ME)
    assert reply == Busy(request_id=2, retry_ms=RETRY_MS)
