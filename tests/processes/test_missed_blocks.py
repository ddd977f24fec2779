"""Issue: "A restarted replica that missed 2,000 blocks catches up by itself and takes part again"."""

import asyncio

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.cli.audit import compare
from bftledger.pbft.settings import Settings
from tests.processes.group import Observer, Processes

MISSED = 2_000
SUBMITTERS = 32
ABSENT = ReplicaId(3)


@pytest.fixture
def protocol() -> Settings:
    """One transaction in each block, many blocks in flight: 2,000 blocks do not take long."""
    return Settings(batch_count=1, pipeline=32)


def test_restarted_replica_that_missed_2000_blocks_catches_up_and_takes_part_again(group: Processes) -> None:
    group.start()
    asyncio.run(_miss_and_catch_up(group))
    group.kill(*group.running)
    reports = group.audit(0, ABSENT)

    assert [str(problem) for report in reports for problem in report.problems] == []
    assert compare(reports) == ()


async def _miss_and_catch_up(group: Processes) -> None:
    async with group.client() as client, Observer(group) as observer:
        await observer.ready()
        assert (await client.submit("put", "before", "it left")).ok
        await observer.settled()
        assert group.stop(ABSENT) == 0

        async def submit_some(submitter: int) -> None:
            for number in range(MISSED // SUBMITTERS + 1):
                outcome = await client.submit("put", f"{submitter}/{number}", "missed")
                assert outcome.ok, outcome

        await asyncio.gather(*(submit_some(submitter) for submitter in range(SUBMITTERS)))
        height = await observer.settled()
        assert height >= MISSED
        group.start(ABSENT)
        await observer.level(height)  # nobody submits anything meanwhile: it finds out by itself

        assert group.stop(1) == 0  # from now on no quorum is without it
        outcome = await client.submit("put", "after", "it came back")
        assert outcome.ok, outcome
        await observer.settled()
        group.start(1)
        await observer.settled()
