"""What the documentation names exists: files, headings, functions, commands, and the constants of its tables."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from typer.main import get_command

from bftledger.cli.main import app
from bftledger.home.config import RANGES
from bftledger.pbft.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")])
_LINK = re.compile(r"!?\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$|^(?: {4}[^\n]*\n)+", re.MULTILINE | re.DOTALL)
_DOTTED = re.compile(r"`(\w+)((?:\.\w+)+)`")
_CONSTANTS = re.compile(r"((?:`\w+`(?:, | and )?)+) in \[[^\]]*\]\(([^)]+\.py)\)")


class Link(NamedTuple):
    """`[text](target)` on a page."""

    page: Path
    text: str
    target: str


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def links() -> Iterator[Link]:
    for page in PAGES:
        for match in _LINK.finditer(prose(page)):
            if "://" not in match["target"]:
                yield Link(page, match["text"], match["target"])


@cache
def names(source: Path) -> frozenset[str]:
    """Everything that a module defines: `function`, `Class`, `Class.method`, `Class.field`, `CONSTANT`."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(prefix + name)
                case ast.ClassDef(name=name, body=inner):
                    found.add(prefix + name)
                    visit(inner, f"{prefix}{name}.")
                    visit(inner, "")
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    found.add(prefix + name)

    visit(ast.parse(source.read_text()).body, "")
    return frozenset(found)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def is_broken(link: Link) -> bool:
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_what_the_pages_link_to_exists() -> None:
    assert [link for link in links() if is_broken(link)] == []


def test_what_a_page_calls_by_name_is_in_the_file_that_it_links_to() -> None:
    checked = 0
    for link in links():
        if match := _DOTTED.fullmatch(link.text):
            checked += 1
            assert Path(link.target).stem == match[1], link
            assert match[2].removeprefix(".") in names((link.page.parent / link.target).resolve()), link

    assert checked > 50


def test_the_constants_of_the_tables_of_bounds_are_in_the_files_named_beside_them() -> None:
    checked = 0
    for page in PAGES:
        for listed, target in _CONSTANTS.findall(prose(page)):
            for name in re.findall(r"`(\w+)`", listed):
                checked += 1
                assert name in names((page.parent / target).resolve()), f"{page.name}: {name} in {target}"

    assert checked > 20


def test_the_reference_of_the_configuration_is_that_of_the_program() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+ \| [\d,]+ … [\d,]+) \|", page, re.MULTILINE))
    expected = {
        name: f"{getattr(Settings(), name):,} | {allowed.low:,} … {allowed.high:,}" for name, allowed in RANGES.items()
    }

    assert rows == expected


def test_every_command_is_in_the_readme_and_every_command_of_the_readme_exists() -> None:
    command = get_command(app)
    known = set(getattr(command, "commands", {}))
    text = (ROOT / "README.md").read_text()
    used = set(re.findall(r"^\$ bftledger (?:--home \S+ )?([a-z]+)", text, re.MULTILINE))

    assert used <= known
    assert known - {"query"} <= set(re.findall(r"`([a-z]+)", text)) | used
