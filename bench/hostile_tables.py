"""The results of `hostile.py` in words: lines for a terminal, and the tables of the page."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Final

from page import Shown, Table

from bftledger.bench.attack_words import NO_VALUE, counted, millis, rate, share
from bftledger.bench.hostile_row import PARTS
from bftledger.bench.results import Result

Row = Mapping[str, Any]

CLEARLY: Final = 0.75
"""Whoever leaves less than so much of what its control leaves costs more than its processor time, noise or not."""

_HEAD: Final = (
    f"{'hostile':<26} {'clean':>7} {'attacked':>8} {'after':>7} {'control':>7} {'kept':>5} {'control':>7} "
    f"{'p50':>8} {'p99':>8} {'p99 clean':>9} {'control':>8} {'sent/s':>8} {'MB/s':>6} {'answers/s':>9} {'got tx/s':>8} "
    f"{'cores':>5} {'RSS MB':>6} {'views':>5}  verdict"
)


def text(result: Result) -> str:
    """A line for each hostile client; then what is wrong, and what could not be measured."""
    wrong = [
        f"  {row['title']}: {name}: {found['text']}"
        for row in result["results"]
        for name, found in row["verdict"].items()
        if not found["ok"]
    ]
    return "\n".join([_HEAD, *map(_columns, result["results"]), *wrong, *map(failure, result["not_measured"])])


def line(row: Row) -> str:
    """What came of one run, while others are still to come."""
    attacked, sent = row["phases"]["attacked"], row["sent"]
    return (
        f"kept {share(row['kept'])}, beside the control {share(row['kept_control'])}; "
        f"p50 {millis(attacked['p50_ms'])}, p99 {millis(attacked['p99_ms'])}, clean "
        f"{millis(row['phases']['clean']['p50_ms'])} and {millis(row['phases']['clean']['p99_ms'])}; "
        f"{sent['frames_per_s']:,.0f} frames/s sent; {', '.join(_marks(row))}"
    )


def failure(run: Row) -> str:
    """What could not be measured, and why."""
    return f"  {run['title']}: not measured: {run['error']}"


def is_good(result: Result) -> bool:
    """Whether all runs could be measured, and nothing is wrong."""
    return all(row["ok"] for row in result["results"]) and not result["not_measured"]


def is_beyond(row: Row) -> bool:
    """Whether it clearly costs more than the processor time that it takes."""
    return row["kept_beyond_control"] is not None and row["kept_beyond_control"] < CLEARLY


def _columns(row: Row) -> str:
    phases, sent = row["phases"], row["sent"]
    rates = [rate(phases[name]) for name in PARTS]
    return (
        f"{row['title']:<26} {rates[0]:>7} {rates[1]:>8} {rates[2]:>7} {rates[3]:>7} {share(row['kept']):>5} "
        f"{share(row['kept_control']):>7} {millis(row['p50_ms']):>8} {millis(row['p99_ms']):>8} "
        f"{millis(phases['clean']['p99_ms']):>9} {millis(phases['control']['p99_ms']):>8} "
        f"{sent['frames_per_s']:>8,.0f} {sent['mb_per_s']:>6,.1f} {sent['answers_per_s']:>9,.0f} "
        f"{sent['committed_per_s']:>8,.0f} {sent['cpu_share']:>5.2f} {_grown(row):>6} {row['view_changes']:>5}  "
        f"{', '.join(_marks(row))}"
    )


def _marks(row: Row) -> list[str]:
    """The verdict, and what else is to be seen at a glance."""
    return [
        "safe" if row["ok"] else "VIOLATED",
        *["beyond its processor time"] * is_beyond(row),
        *["pools not drained"] * (row["drained_s"] is None),
    ]


def _grown(row: Row) -> str:
    """By how many MB the replica grew most in which the attack came to most: to a new peak, or else at its end."""
    clean, attacked = row["phases"]["clean"], row["phases"]["attacked"]
    known = zip(clean["rss_mb"], clean["peak_rss_mb"], attacked["rss_mb"], attacked["peak_rss_mb"], strict=True)
    grown = [
        (peak if peak > peak_before else now) - before
        for before, peak_before, now, peak in known
        if None not in (before, peak_before, now, peak)
    ]
    return f"{max(grown):+,.0f}" if grown else NO_VALUE


# ── the page ──


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows: Sequence[Row] = result["results"]
    known = [row for row in rows if row["kept"] is not None]
    worst = min(known, key=lambda row: row["kept"], default=None)
    clients = counted(result["config"]["clients"], "honest client")
    title = f"{clients}, {counted(len(rows), 'hostile one')}"
    story = []
    if worst is not None:
        title = f"{clients} keep at least {share(worst['kept'])} beside each of {counted(len(rows), 'hostile one')}"
        story.append(
            f"Beside {worst['title']} they keep {share(worst['kept'])} of their throughput, and "
            f"{share(worst['kept_control'])} beside a process that takes as much processor time and sends nothing."
        )
    beyond = [row["title"] for row in sorted(known, key=lambda row: row["kept"]) if is_beyond(row)]
    if beyond:
        some = ", ".join(beyond[:_NAMED]) + (f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else "")
        story.append(f"Clearly more than the processor time that it takes itself costs {some}.")
    elif known:
        story.append("None clearly costs more than the processor time that it takes itself.")
    wrong = [row["title"] for row in rows if not row["ok"]]
    lasts = (
        f"The verdict is violated: {', '.join(wrong)}."
        if wrong
        else ("Every honest transaction was committed in time, and all ledgers are identical.")
    )
    failed = [f"Not measured: {run['title']} ({run['error']})." for run in result["not_measured"]]
    return Shown(title, " ".join([*story, lasts, *failed]), _tables(rows))


def _tables(rows: Sequence[Row]) -> list[Table]:
    kept = Table(
        ["hostile", "kept %", "control %", "after %", "clean tx/s", "attacked", "after", "control", "", "verdict"],
        [
            [
                row["title"],
                *(_percent(row[name]) for name in ("kept", "kept_control", "kept_after")),
                *(row["phases"][name]["tx_per_s"] for name in PARTS),
                "beyond its processor time" if is_beyond(row) else "",
                "safe" if row["ok"] else "VIOLATED",
            ]
            for row in rows
        ],
        "Honest transactions per second, and what is kept of them, in percent of the same run's clean part.",
    )
    waited = Table(
        ["hostile", *_WAITS, "slowest", "drained s"],
        [
            [
                row["title"],
                *(row["phases"][name][what] for what in ("p50_ms", "p99_ms") for name in PARTS),
                row["slowest_ms"],
                row["drained_s"],
            ]
            for row in rows
        ],
        "How many milliseconds honest clients waited. Drained: so many seconds after the attack all pools held no more "
        "than usual.",
    )
    return [kept, waited, *_costs(rows), _verdicts(rows)]


def _costs(rows: Sequence[Row]) -> list[Table]:
    sent = Table(
        ["hostile", "does", "frames/s", "MB/s", "answers/s", "MB/s", "committed/s", "cores", "control", "answers"],
        [
            [
                row["title"],
                row["does"],
                *(row["sent"][name] for name in ("frames_per_s", "mb_per_s", "answers_per_s", "answers_mb_per_s")),
                row["sent"]["committed_per_s"],
                row["sent"]["cpu_share"],
                row["control_cpu_share"],
                _listed(row["sent"]["answers"]),
            ]
            for row in rows
        ],
        "What the hostile one sent and got. Cores: its own processor time by the second, and the control's.",
    )
    taken = Table(
        ["hostile", *(f"cores {name}" for name in PARTS), "RSS clean", "RSS attacked", "RSS after", "peak MB"],
        [
            [
                row["title"],
                *(_mean(row["phases"][name]["replicas_cpu_share"]) for name in PARTS),
                *(_most(row["phases"][name]["rss_mb"]) for name in ("clean", "attacked", "after")),
                _most(row["phases"]["control"]["peak_rss_mb"]),
            ]
            for row in rows
        ],
        "What a replica took: processor time by the second (the mean), memory at the end of each part (the most).",
    )
    counters = Table(
        ["hostile", "refused, dropped and ignored by all replicas together, in the whole run"],
        [[row["title"], _listed({k: n for k, n in row["counters"].items() if k not in _TRAFFIC})] for row in rows],
    )
    return [sent, taken, counters]


def _verdicts(rows: Sequence[Row]) -> Table:
    names = list(rows[0]["verdict"])
    return Table(
        ["hostile", "view changes", *names, "again"],
        [
            [
                row["title"],
                row["view_changes"],
                *(
                    ("" if row["verdict"][name]["ok"] else "VIOLATED: ") + row["verdict"][name]["text"]
                    for name in names
                ),
                row["command"],
            ]
            for row in rows
        ],
        "The verdict on each run.",
    )


_WAITS: Final = [name if i else f"{what} {name}" for what in ("p50", "p99") for i, name in enumerate(PARTS)]
_TRAFFIC: Final = frozenset({"sent", "received"})
_NAMED: Final = 4
"""A story names no more than so many."""


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or NO_VALUE


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio * 100, 1)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 3) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
