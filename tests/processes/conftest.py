"""A group of processes in the test's own directory, gone when the test ends; if it fails, with what they said."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bftledger.pbft.settings import Settings
from tests.processes.group import ALL, Processes


@pytest.fixture
def protocol() -> Settings:
    """What the group's protocol runs with; a module may say something else."""
    return Settings()


@pytest.fixture
def group(tmp_path: Path, protocol: Settings) -> Iterator[Processes]:
    with Processes(tmp_path / "home", protocol) as processes:
        yield processes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    processes: Any = item.funcargs.get("group")
    if call.when != "teardown" and report.failed and isinstance(processes, Processes):
        report.sections += [(f"replica {replica} said", processes.log(replica)[-4_000:]) for replica in ALL]
    return report
