"""docs/adversaries.md: its catalogue is the program's, and the behaviour that it shows how to write is one.

`pytest tests/docs --rewrite-docs` writes the catalogue anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bftledger.adversary.catalogue import CATALOGUE, MODULES, Described, describe, parse
from bftledger.base.ids import ReplicaId
from bftledger.sim.plan import Plan, Work
from bftledger.sim.run import run

PAGE = Path(__file__).parents[2] / "docs" / "adversaries.md"
BEGIN, END = "<!-- catalogue: begin -->\n", "<!-- catalogue: end -->\n"
(OWN, TRIAL) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def catalogue() -> str:
    """The part of the page that follows from the program: a table for each module, and at last what is in none."""
    entries = {entry.name: entry for entry in describe()}
    parts = []
    for module in MODULES:
        mine = [entries.pop(behaviour.name) for behaviour in module.BEHAVIOURS]
        parts.append(_table(*_heading(module), mine))
    parts.append(
        _table(
            "Anything",
            "One that chooses among these, but for the heavy ones, `blindfold` and `busy-censor`.",
            list(entries.values()),
        )
    )
    return "\n".join(parts)


def _heading(module: ModuleType) -> tuple[str, str]:
    """What the module is called, and the first paragraph that it says of itself."""
    assert module.__doc__ is not None
    name = module.__name__.rpartition(".")[2].replace("_", " ").capitalize()
    return name, " ".join(module.__doc__.partition("\n\n")[0].split())


def _table(title: str, about: str, entries: list[Described]) -> str:
    rows = [f"| {_name(entry)} | {entry.does} | {entry.stopped_by} | {entry.shows} |\n" for entry in entries]
    head = "| behaviour | what it does | what stops it | what a group shows |\n|---|---|---|---|\n"
    return f"### {title}\n\n{about}\n\n{head}{''.join(rows)}"


def _name(entry: Described) -> str:
    return f"`{entry.name}`" + (f"<br>`:` {entry.takes}" if entry.takes else "")


def test_the_catalogue_on_the_page_is_that_of_the_program(request: pytest.FixtureRequest) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if request.config.getoption("--rewrite-docs"):
        PAGE.write_text(f"{before}{BEGIN}\n{catalogue()}\n{END}{after}")

    assert PAGE.read_text() == f"{before}{BEGIN}\n{catalogue()}\n{END}{after}"


def test_nothing_that_a_behaviour_says_of_itself_breaks_a_table() -> None:
    for entry in describe():
        assert not any(mark in text for text in entry for mark in "|\n`"), entry.name


@pytest.fixture
def documented() -> Iterator[type]:
    """The behaviour of the page, in the catalogue as long as the test runs."""
    namespace: dict[str, type] = {"__name__": "two_faced"}  # type: ignore[dict-item]
    exec(compile(OWN, str(PAGE), "exec"), namespace)
    yield namespace["TwoFaced"]
    del CATALOGUE["two-faced"]


def test_the_documented_behaviour_lies_is_stopped_and_is_convicted(documented: type) -> None:
    plan = Plan(seed=1, traitors={ReplicaId(2): ("two-faced",)}, work=Work(operations=10))
    report = run(plan)

    assert parse("two-faced").behaviour is documented
    assert report.counts["lies: two-faced"] > 0
    assert [str(violation) for violation in report.violations] == []
    assert (report.views, sorted(report.convicted)) == (0, [2])


def test_the_documented_trial_runs_it(documented: type, capsys: pytest.CaptureFixture[str]) -> None:
    source = TRIAL.replace("import two_faced\n", "")
    exec(compile(source, str(PAGE), "exec"), {"__name__": "__main__"})

    assert re.fullmatch(r"objections: \[\], blocks: \d+, convicted: \[2\], lies: \d+\n", capsys.readouterr().out)
