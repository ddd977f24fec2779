"""docs/simulation.md names the options and oracles that there are; docs/formats.md, the fields of a plan."""

import dataclasses
import json
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from typer.main import get_command

import bftledger.check
from bftledger.cli.main import app
from bftledger.cli.sim_campaign import CHUNK, COVERED, TRACED
from bftledger.sim.links import Links
from bftledger.sim.plan import FAULTS, Crash, Cut, Jump, Plan, Slow, Storm, Weather, Work
from bftledger.sim.script import Script
from bftledger.sim.twins import Scenario

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "simulation.md").read_text()
FORMATS = (DOCS / "formats.md").read_text()


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of the same level."""
    level = heading.partition(" ")[0]
    return page.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


def rows(text: str) -> dict[str, list[str]]:
    """The tables' rows by what is in their first cell, in backquotes."""
    found = re.findall(r"^\| (`[^|]+`) \| (.*) \|$", text, re.MULTILINE)
    return {first.strip("`"): cells.split(" | ") for first, cells in found}


def options() -> set[str]:
    """The long options of `bftledger sim`."""
    command: Any = get_command(app)
    return {name for option in command.commands["sim"].params for name in option.opts if name.startswith("--")}


def test_every_option_is_explained_and_every_option_that_is_shown_exists() -> None:
    explained = set(re.findall(r"--[a-z][a-z0-9-]*", section(PAGE, "## One run").partition("| option |")[2]))
    shown = {
        word
        for line in re.findall(r"bftledger sim ([^`\n#]*)", PAGE)
        for word in re.findall(r"--[a-z][a-z0-9-]*", line)
    }

    assert explained == options()
    assert shown <= options()


def test_the_table_of_oracles_has_all_that_are_in_check() -> None:
    modules = (import_module(f"bftledger.check.{module.name}") for module in iter_modules(bftledger.check.__path__))
    known = {module.ORACLE for module in modules if hasattr(module, "ORACLE")}

    assert known <= rows(section(PAGE, "## What the oracles judge")).keys()


@pytest.mark.parametrize("cls", [Plan, Weather, Cut, Storm, Crash, Jump, Slow, Work, Script, Links])
def test_the_fields_of_a_plan_are_those_of_the_page(cls: type) -> None:
    listed = rows(section(FORMATS, "## Plan").partition(f"\n**{cls.__name__}**")[2].partition("\n**")[0])
    fields = {field.name: field.default for field in dataclasses.fields(cls)}

    assert [*listed] == [*(["format"] * (cls is Plan)), *(["kind"] * (cls in FAULTS.values())), *fields]
    for name, default in fields.items():
        if isinstance(default, bool | int | float):
            assert listed[name][0].lower() == str(default).lower(), name


def test_so_many_seeds_are_measured_as_the_page_says() -> None:
    words = {2: "two", CHUNK * COVERED: "thousand"}
    said = f"measured on the first {words[TRACED]} of each {words[1_000]} seeds"

    assert said in " ".join(PAGE.split())


def test_the_fields_of_a_scenario_are_those_of_the_page() -> None:
    scenario = Scenario(n=4, twins=(), views=())

    assert [*rows(section(FORMATS, "## Twins scenario"))] == [*scenario.to_json()]


def test_the_documented_scenario_and_plan_are_some() -> None:
    plan, scenario = (
        json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", FORMATS, re.MULTILINE | re.DOTALL)
    )

    assert Plan.from_json(plan).traitors == {0: ("equivocate",)}
    assert Scenario.from_json(scenario).to_json() == scenario
