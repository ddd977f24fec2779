"""Issue: "With f+1 replicas stopped, `submit` answers within its time-out that there is no quorum and names the
transaction; nothing is lost or done twice when they come back"."""

import asyncio

from bftledger.client import AsyncClient, Outcome, State
from tests.processes.group import ALL, Observer, Processes
from tests.processes.verdict import objections, seen_of

TIMEOUT_S = 2.0
SUBMITTERS = 8
STOPPED = (0, 2)
"""f+1 replicas, the primary of the first view among them."""


def test_submission_without_a_quorum_says_so_in_time_and_is_committed_once_when_they_come_back(
    group: Processes,
) -> None:
    group.start()
    outcomes = asyncio.run(_submit_without_quorum(group))
    group.kill(*group.running)

    assert objections(group, seen_of(outcomes)) == []


async def _submit_without_quorum(group: Processes) -> list[Outcome]:
    """In time: the one with the shorter time-out is answered alone, while another of the same client, which began
    before it, waits on."""
    async with group.client() as client, Observer(group) as observer:
        await observer.ready()
        assert (await client.submit("put", "color", "green")).ok
        group.kill(*STOPPED)
        transaction = client.make_transaction("put", "color", "blue")
        patient = asyncio.create_task(client.submit("put", "size", "large"))
        hurried = asyncio.create_task(client.submit_transaction(transaction, timeout=TIMEOUT_S))
        done, _ = await asyncio.wait({patient, hurried}, return_when=asyncio.FIRST_COMPLETED)

        assert done == {hurried}
        outcome = hurried.result()
        assert outcome.state is State.NO_QUORUM
        assert outcome.alive == len(ALL) - len(STOPPED)
        assert transaction.id.hex() in str(outcome)

        group.start(*STOPPED)
        await observer.until(lambda found: len(found) == len(ALL), "they are back")
        again = await client.submit_transaction(transaction)
        assert again.ok, again
        waited = await patient
        assert waited.ok, waited
        assert (await client.fate(transaction.id)).height == again.height
        reading = await client.query("color", read="linearizable")
        assert client.show(reading)["version"] == 2
        await observer.settled()
        return [again, waited]


def test_what_was_under_way_when_the_quorum_was_lost_is_done_once(group: Processes) -> None:
    group.start()
    outcomes = asyncio.run(_lose_quorum_under_load(group))
    group.kill(*group.running)

    assert [outcome for outcome in outcomes if not outcome.ok] == []
    assert objections(group, seen_of(outcomes)) == []


async def _lose_quorum_under_load(group: Processes) -> list[Outcome]:
    async with group.client() as client, Observer(group) as observer:
        await observer.ready()
        some_done = asyncio.Event()

        async def submit_some(client: AsyncClient, submitter: int) -> list[Outcome]:
            outcomes = []
            for number in range(20):
                outcomes.append(await client.submit("put", f"{submitter}/{number}", "1"))
                if number == 5:
                    some_done.set()
            return outcomes

        tasks = [asyncio.create_task(submit_some(client, submitter)) for submitter in range(SUBMITTERS)]
        await some_done.wait()
        group.kill(*STOPPED)
        await observer.until(lambda found: len(found) == len(ALL) - len(STOPPED), "they are gone")
        group.start(*STOPPED)
        outcomes = [outcome for some in await asyncio.gather(*tasks) for outcome in some]
        await observer.settled()
        return outcomes
