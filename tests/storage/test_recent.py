"""The newest ids in memory: whatever is in the ledger may be in it, and what is new is known to be."""

from hypothesis import given
from hypothesis import strategies as st

from bftledger.base.ids import TxId
from bftledger.storage.recent import RecentIds
from tests.storage.stores import Disk, Scribe, tx

IDS = st.integers(0, 60).map(lambda number: TxId(bytes([number])))


@given(st.lists(st.lists(IDS, max_size=5), max_size=12), st.lists(IDS, max_size=3))
def test_no_id_of_the_ledger_passes_for_a_new_one(blocks: list[list[TxId]], before: list[TxId]) -> None:
    recent = RecentIds(max(before, default=None), kept=7)
    for ids in blocks:
        recent.add(ids)
    there = [*before, *(tx_id for ids in blocks for tx_id in ids)]

    assert recent.may_hold(there) == there


def test_an_id_later_than_all_that_were_forgotten_is_known_not_to_be_there() -> None:
    recent = RecentIds(TxId(b"b"), kept=2)
    recent.add([TxId(b"d"), TxId(b"c")])

    assert recent.may_hold([TxId(b"a"), TxId(b"bb"), TxId(b"c"), TxId(b"e")]) == [b"a", b"c"]
    recent.add([TxId(b"f")])
    assert recent.may_hold([TxId(b"cc"), TxId(b"e"), TxId(b"f")]) == [b"cc", b"f"], "d is forgotten"


def test_a_store_finds_transactions_from_before_it_was_opened(disk: Disk) -> None:
    store = disk.open()
    Scribe(store).write_block(tx(1), tx(3))
    store.commit()
    store.close()
    store = disk.open()

    assert store.contains([tx(1).id, tx(2).id, tx(3).id, tx(4).id]) == {tx(1).id, tx(3).id}


def test_what_a_store_has_taken_back_is_not_there(disk: Disk) -> None:
    store = disk.open()
    Scribe(store).write_block(tx(1))
    store.abandon()

    assert store.contains([tx(1).id]) == set()
