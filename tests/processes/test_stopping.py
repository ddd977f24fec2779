"""Processes that end: in order, all at once, and with damage to what they left."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bftledger.client import AsyncClient, Outcome
from tests.processes.group import ALL, Observer, Processes, refusal
from tests.processes.verdict import objections, seen_of

SUBMITTERS = 16
ENOUGH = 500


def test_sigterm_stops_in_order_and_a_restart_continues(group: Processes) -> None:
    group.start()
    before = asyncio.run(_submit(group, 5))
    assert [group.stop(replica) for replica in ALL] == [0, 0, 0, 0]

    for replica in ALL:
        left = {path.name for path in group.home.data_path(replica).iterdir()}
        assert left == {"ledger.db", "ledger.db.lock"}, "an orderly stop leaves no log behind"
        assert group.log(replica).splitlines()[-1].startswith(f"replica {replica}: stopped at block ")

    group.start()
    after = asyncio.run(_submit(group, 5))
    group.kill(*group.running)
    assert objections(group, seen_of(before + after)) == []


def test_nothing_acknowledged_is_lost_when_all_are_killed_at_once_under_load(group: Processes) -> None:
    group.start()
    before = asyncio.run(_submit_until_all_are_killed(group))
    group.start()
    after = asyncio.run(_submit(group, 5))
    group.kill(*group.running)

    assert objections(group, seen_of(before + after)) == []


@pytest.mark.parametrize(("table", "column", "where"), [("blocks", "block", "height"), ("votes", "frame", "seq")])
def test_replica_with_a_damaged_store_refuses_to_start_and_the_others_go_on(
    group: Processes, table: str, column: str, where: str
) -> None:
    path = group.home.ledger_path(3)
    group.start()
    asyncio.run(_submit(group, 2))
    assert group.stop(3) == 0
    while not _has_any(path, table):  # what a certificate settles is votes no more, and it may have come in time
        group.start(3)
        asyncio.run(_submit(group, 2))
        assert group.stop(3) == 0
    number = _flip_a_byte_of_the_newest(path, table, column, where)

    assert refusal(group.home, 3).startswith(f"bftledger: {path}: {table}, {where} {number}")
    (report,) = group.audit(3)
    assert f"{path}: {table}, {where} {number}" in str(report.problems[0])
    assert asyncio.run(_submit(group, 2))


def _has_any(path: Path, table: str) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute(f"SELECT EXISTS (SELECT * FROM {table})").fetchone()[0])


def _flip_a_byte_of_the_newest(path: Path, table: str, column: str, where: str) -> int:
    """Changes one byte in the middle of a row and returns the row's number."""
    with closing(sqlite3.connect(path)) as db:
        number, data = db.execute(f"SELECT {where}, {column} FROM {table} ORDER BY {where} DESC LIMIT 1").fetchone()
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where} = ? AND {column} = ?", (changed, number, data))
        db.commit()
    return int(number)


async def _submit(group: Processes, each: int) -> list[Outcome]:
    """Submits with several at once, to a group that may still be starting; all are committed."""
    async with group.client() as client, Observer(group) as observer:
        await observer.ready()

        async def submit_some() -> list[Outcome]:
            outcomes = [await client.submit("put", "color", "blue") for _ in range(each)]
            assert [str(outcome) for outcome in outcomes if not outcome.ok] == []
            return outcomes

        done = await asyncio.gather(*(submit_some() for _ in range(SUBMITTERS)))
        await observer.settled()
        return [outcome for some in done for outcome in some]


async def _submit_until_all_are_killed(group: Processes) -> list[Outcome]:
    """Submits as fast as it can until many are done, then kills all in the middle of it; what was acknowledged."""
    acknowledged: list[Outcome] = []
    enough = asyncio.Event()

    async def keep_submitting(client: AsyncClient) -> None:
        while True:
            outcome = await client.submit("put", "color", "blue")
            assert outcome.ok, outcome
            acknowledged.append(outcome)
            if len(acknowledged) >= ENOUGH:
                enough.set()

    async with group.client() as client, Observer(group) as observer:
        await observer.ready()
        tasks = [asyncio.create_task(keep_submitting(client)) for _ in range(SUBMITTERS)]
        await asyncio.wait([asyncio.create_task(enough.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED)
        group.kill(*group.running)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    return acknowledged
