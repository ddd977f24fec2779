"""The application in docs/python.md is one, and does what the page says."""

import re
from pathlib import Path

import pytest

from bftledger.apps.load import load_machine
from bftledger.base.ids import Millis
from tests.ledger.ledger_world import START, World, a_genesis

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A ledger that runs the documented application."""
    (source,) = [block for block in BLOCKS if "class Counter" in block]
    (tmp_path / "counter.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return World(a_genesis(app="counter:Counter", created=Millis(START)))


def test_the_documented_application_counts_and_keeps_its_limit(world: World) -> None:
    first = world.execute(world.transaction("add apples 700"))
    second = world.execute(world.transaction("add apples 700"))

    assert [result.ok for result in (*first.results, *second.results)] == [True, False]
    assert second.results[0].reason == "the limit is 1000"
    assert world.machine.show_result(first.results[0].value) == "700"
    assert world.machine.show(first.transactions[0].payload) == "add apples 700"
    key = world.machine.query_key(world.machine.parse_query(["get", "apples"]))
    assert world.machine.show_value(key, world.state.get(key)) == {"name": "apples", "total": 700}


def test_the_documented_application_takes_its_parameters(world: World) -> None:
    assert load_machine("counter:Counter", {"limit": 1}).name == "counter:Counter"


@pytest.mark.parametrize("source", BLOCKS)
def test_every_documented_program_compiles(source: str) -> None:
    compile(source, str(PAGE), "exec")
