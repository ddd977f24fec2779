"""What a fetched segment proves, and that an audit finds whatever has been changed in a ledger."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.apps.load import load_machine
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.ids import Digest, Millis, Seq
from bftledger.ledger.audit import Audit
from bftledger.ledger.block import Header
from bftledger.ledger.chain import verify_link, verify_segment
from tests.ledger.ledger_world import GENESIS, START, VERIFIER, World, a_genesis, a_world_of, certify

WORLD = a_world_of(8)
BLOCKS = [done.block.encoded for done in WORLD.done]
HEADERS = [done.block.header for done in WORLD.done]


def an_audit() -> Audit:
    return Audit(GENESIS, load_machine("kv", {}), VERIFIER)


def test_each_block_follows_the_one_before() -> None:
    for previous, header in pairwise(HEADERS):
        verify_link(previous, header)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: replace(header, height=Seq(header.height + 1)),
        lambda header: replace(header, previous=Digest(bytes(32))),
        lambda header: replace(header, genesis_hash=Digest(bytes(32))),
        lambda header: replace(header, group_digest=Digest(bytes(32))),
        lambda header: replace(header, time=HEADERS[4].time),
    ],
)
def test_header_that_does_not_follow_is_refused(change: Callable[[Header], Header]) -> None:
    with pytest.raises(BadProof, match=r"block [56]"):
        verify_link(HEADERS[4], change(HEADERS[5]))


def test_segment_is_proven_by_the_certificate_of_its_last_block_or_of_a_later_one() -> None:
    at_end = verify_segment(HEADERS[2], BLOCKS[3:6], [], certify(HEADERS[5]))
    above = verify_segment(HEADERS[2], BLOCKS[3:6], [header.encoded for header in HEADERS[6:9]], certify(HEADERS[8]))

    assert [block.height for block in at_end] == [3, 4, 5]
    assert at_end == above


def test_segment_that_does_not_lead_to_its_certificate_is_refused() -> None:
    other = a_world_of(2)
    other.execute(other.transaction("put another thing"), time=START + 30)
    fork = other.done[3].block.encoded
    later = [header.encoded for header in HEADERS[4:6]]
    wrong = [
        (HEADERS[2], [], [], HEADERS[2]),
        (HEADERS[2], BLOCKS[4:6], [], HEADERS[5]),
        (HEADERS[2], [BLOCKS[3], BLOCKS[5]], [], HEADERS[5]),
        (HEADERS[2], BLOCKS[3:5], [], HEADERS[5]),
        (HEADERS[2], [fork], [], HEADERS[3]),
        (HEADERS[2], [fork], later, HEADERS[5]),
        (HEADERS[2], [BLOCKS[3]], later[1:], HEADERS[5]),
    ]
    for previous, blocks, headers, certified in wrong:
        with pytest.raises(BadProof):
            verify_segment(previous, blocks, headers, certify(certified))


@given(st.data())
def test_hostile_segment_raises_declared_errors_only(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BLOCKS[3]) - 1))
    flipped = BLOCKS[3][:at] + bytes([BLOCKS[3][at] ^ data.draw(st.integers(1, 255))]) + BLOCKS[3][at + 1 :]
    noise = data.draw(st.binary(max_size=100))
    for blocks, headers in (([flipped], []), ([noise], []), ([BLOCKS[3]], [noise])):
        with pytest.raises((BadProof, Malformed)):
            verify_segment(HEADERS[2], blocks, headers, certify(HEADERS[3]))


def test_audit_of_a_whole_ledger_ends_with_its_state_and_its_rows() -> None:
    audit = an_audit()
    executed = [audit.genesis] + [audit.add(data, certify(HEADERS[i])) for i, data in enumerate(BLOCKS[1:], 1)]

    assert (audit.height, audit.certified) == (8, 8)
    assert dict(audit.state.items()) == dict(WORLD.state.items())
    assert [done.history_nodes for done in executed] == [done.history_nodes for done in WORLD.done]


def test_audit_says_up_to_where_a_quorum_agreed() -> None:
    audit = an_audit()
    for data, certificate in zip(BLOCKS[1:5], [None, certify(HEADERS[2]), None, None], strict=True):
        audit.add(data, certificate)

    assert (audit.height, audit.certified) == (4, 2)


def test_audit_finds_every_flipped_byte_of_a_block_and_names_its_height() -> None:
    audit = an_audit()
    for data in BLOCKS[1:3]:
        audit.add(data, None)
    certificate = certify(HEADERS[3])
    for at in range(len(BLOCKS[3])):
        flipped = BLOCKS[3][:at] + bytes([BLOCKS[3][at] ^ 1]) + BLOCKS[3][at + 1 :]
        with pytest.raises(BadProof, match="block 3"):
            audit.add(flipped, certificate)

    assert audit.add(BLOCKS[3], certificate).block.height == 3


def test_audit_refuses_a_missing_block_and_a_foreign_certificate() -> None:
    with pytest.raises(BadProof, match="block 2 stands where block 1 belongs"):
        an_audit().add(BLOCKS[2], None)
    with pytest.raises(BadProof, match="the certificate of block 1 does not hold"):
        an_audit().add(BLOCKS[1], certify(HEADERS[2]))
    with pytest.raises(BadProof, match="the certificate of block 1 does not hold"):
        an_audit().add(BLOCKS[1], certify(HEADERS[1], genesis=a_genesis(created=Millis(5))))


def test_audit_refuses_a_transaction_that_was_not_signed_by_its_sender() -> None:
    world = World()
    forged = replace(world.transaction(), signature=world.transaction().signature)
    executed = world.execute(forged)

    with pytest.raises(BadProof, match=r"block 1 holds transaction .* badly signed"):
        an_audit().add(executed.block.encoded, certify(executed.block.header))


def test_audit_refuses_a_transaction_that_is_in_the_ledger_twice() -> None:
    """A quorum of liars can certify it; an audit still sees it."""
    world = World()
    transaction = world.transaction()
    first = world.execute(transaction)
    world.ids.clear()
    second = world.execute(transaction)
    audit = an_audit()
    audit.add(first.block.encoded, None)

    with pytest.raises(BadProof, match=r"block 2 holds transaction .* already in the ledger"):
        audit.add(second.block.encoded, certify(second.block.header))


def test_audit_forgets_ids_only_when_they_have_expired() -> None:
    world, audit = World(), an_audit()
    short = [world.transaction(lifetime=1_000) for _ in range(4_000)]
    long = world.transaction(lifetime=100_000)
    for transactions, time in (((*short, long), START + 1), ([world.transaction()], START + 2_000)):
        audit.add(world.execute(*transactions, time=time).block.encoded, None)
    for _ in range(2):
        many = [world.transaction(created=START + 2_000, lifetime=500) for _ in range(2_000)]
        audit.add(world.execute(*many, time=START + 2_100).block.encoded, None)
    world.ids.clear()
    again = world.execute(long, time=START + 3_000)

    with pytest.raises(BadProof, match="already in the ledger"):
        audit.add(again.block.encoded, None)
