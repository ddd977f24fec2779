"""A result as one HTML page: the story, the pictures, the table, and where it was measured. Nothing is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

from bftledger.bench.quiet import warning


class Drawn(Protocol):
    """A picture, as `pictures.Picture` is."""

    @property
    def caption(self) -> str:
        """One sentence."""

    @property
    def svg(self) -> str:
        """To be put into the page as it is."""


@dataclass(frozen=True)
class Table:
    """Cells are texts, numbers or None; numbers stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclass(frozen=True)
class Shown:
    """What a benchmark has to show for its result; `story`: two sentences for whoever reads no further."""

    title: str
    story: str
    tables: Sequence[Table]
    pictures: Sequence[Drawn] = field(default_factory=tuple)


_CSS = """
:root { --ink: #1f2933; --quiet: #6b7785; --grid: #dde3ea; --paper: #fff; --bad: #d6336c;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --quiet: #98a4b1; --grid: #323b46; --paper: #14181d; --bad: #f06595; } }
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1.2rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--font); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .5rem; }
.story { font-size: 1.1rem; max-width: 46rem; }
figure { margin: 1.8rem 0; } figure svg { width: 100%; min-width: 38rem; height: auto; display: block; }
figcaption, caption, footer { color: var(--quiet); font-size: .86rem; }
caption { text-align: left; padding: .3rem 0; }
.wide { overflow-x: auto; } .wide:has(table) { margin: 1.4rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
td:first-child:not(:last-child) { white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; } .n { text-align: right; } td.n { white-space: nowrap; }
.bad { color: var(--bad); font-weight: 600; }
.warning { border-left: 3px solid var(--bad); padding: .1rem .8rem; max-width: 46rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--grid); padding-top: .8rem; }
"""


def page(shown: Shown, result: Mapping[str, Any]) -> str:
    """The document."""
    figures = [
        f'<figure><div class="wide">{picture.svg}</div><figcaption>{escape(picture.caption)}</figcaption></figure>'
        for picture in shown.pictures
    ]
    facts = [
        ("calibration", result["calibrations"] | {"ceiling_tx_per_s": result["ceiling_tx_per_s"]}),
        ("machine", result["machine"]),
        ("versions", result["versions"] | {"commit": result["commit"] or "not from a checkout"}),
        ("configuration", result["config"] | {"seed": result["seed"]}),
    ]
    foot = f"bftledger {result['versions']['bftledger']}, {result['bench']}, {result['when']}"
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(shown.title)}</title><style>{_CSS}</style></head><body>",
            f'<h1>{escape(shown.title)}</h1><p class="story">{escape(shown.story)}</p>',
            *_warnings(result),
            *figures,
            *(table_html(table) for table in shown.tables),
            *(f"<h2>{name.capitalize()}</h2>{table_html(_facts(what))}" for name, what in facts),
            f"<footer>{escape(foot)}</footer></body></html>\n",
        )
    )


def _warnings(result: Mapping[str, Any]) -> list[str]:
    """What is to be read before any figure."""
    said = warning(result["machine"].get("busy_before"))
    return [] if said is None else [f'<p class="warning">Right before, {escape(said)}.</p>']


def table_html(table: Table) -> str:
    """A table that scrolls by itself if the screen is narrow."""
    numeric = [all(_is_number(row[i]) or row[i] is None for row in table.rows) for i in range(len(table.columns))]
    kinds = [' class="n"' if is_number else "" for is_number in numeric]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, table.columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell(value)}</td>" for kind, value in zip(kinds, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = f"<thead><tr>{head}</tr></thead>" if any(table.columns) else ""
    return f'<div class="wide"><table>{caption}{head}<tbody>{body}</tbody></table></div>'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: object) -> str:
    """A value as HTML: numbers with separators and no more digits than they deserve."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
        case _:
            return escape(str(value))


def _facts(what: Mapping[str, Any], prefix: str = "") -> Table:
    rows: list[tuple[str, str]] = []
    for name, value in what.items():
        if isinstance(value, Mapping):
            rows.extend((f"{name}: {key}", cell_text(inner)) for key, inner in value.items())
        else:
            rows.append((name, cell_text(value)))
    return Table(("", ""), rows)


def cell_text(value: object) -> str:
    """A value of a configuration as text."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "–" if value is None else str(value)
