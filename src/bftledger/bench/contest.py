"""Several systems under the same load, in turns: A, B, B, A, …, so that what disturbs the machine disturbs all alike.

Who comes after another finds the machine as that left it: so every other round is in reverse, and then another one is
first (`order`). Only what was measured in one round is divided by one another: each round gives a ratio, and of the
ratios the median and the range are shown. The first system is what the others are compared with; beside that a system
may have one that is its like.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from bftledger.base.errors import BftLedgerError
from bftledger.bench.measured import Load, Measured
from bftledger.bench.readable import percentile_of
from bftledger.bench.systems import System

_MEDIANS: Final = (
    "tx_per_s",
    "p50_ms",
    "p99_ms",
    "mean_ms",
    "clients_cpu_share",
    "tx_per_block",
)
"""Of these fields of `Measured.row` a row shows the median of its rounds."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value or more."""
        return cls(median=median(values), least=min(values), greatest=max(values))

    def document(self, digits: int) -> dict[str, float]:
        """For a result, rounded to so many decimals."""
        return {name: round(value, digits) for name, value in vars(self).items()}


def compete(
    systems: Sequence[System],
    load: Load,
    clients: Sequence[int],
    rounds: int,
    say: Callable[[str], None],
    likes: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows: for each number of clients one of each system. A round that fails is missed, and the row says why.

    `likes`: of the systems that are compared with another one than the first, too, the name of that one.
    """
    turn = 0
    for count in clients:
        found: dict[str, list[Measured | str]] = {system.name: [] for system in systems}
        for number in range(1, rounds + 1):
            for system in order(systems, turn):
                measured = _attempt(system, replace(load, clients=count))
                found[system.name].append(measured)
                came = measured if isinstance(measured, str) else f"{_operations_per_s(measured):,.0f} operations/s"
                say(f"{_clients(count)}, round {number} of {rounds}, {system.name}: {came}")
            turn += 1
        yield from rows(found, clients=count, likes=likes)


def order(systems: Sequence[System], turn: int) -> list[System]:
    """Of a round: A, B, C, then C, B, A, then B, C, A, and so on, so that nobody always comes after the same other."""
    first = turn // 2 % len(systems) if systems else 0
    found = [*systems[first:], *systems[:first]]
    return found[::-1] if turn % 2 else found


def _attempt(system: System, load: Load) -> Measured | str:
    """What came of it, or why nothing did."""
    try:
        return system.run_load(load)
    except BftLedgerError as error:
        return f"not measured: {error}"


def rows(
    found: Mapping[str, Sequence[Measured | str]], *, clients: int, likes: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One of each system, of all its rounds, those that were missed included; ratios are to the first system.

    `likes`: as of `compete`; those that were not measured are none.
    """
    first = next(iter(found.values()))
    return [
        _row(name, rounds, first, clients) | _like(rounds, found, (likes or {}).get(name))
        for name, rounds in found.items()
    ]


def _like(
    rounds: Sequence[Measured | str], found: Mapping[str, Sequence[Measured | str]], like: str | None
) -> dict[str, Any]:
    """The fields of a row that compare it with its like; None where there is none."""
    known = like if like in found else None
    ratio = None if known is None else _ratio_of(rounds, found[known])
    return {"like": known, "ratio_to_like": ratio}


def _ratio_of(rounds: Sequence[Measured | str], to: Sequence[Measured | str]) -> dict[str, float] | None:
    """Of the rounds that both have; None if there is none."""
    both = [
        (_operations_per_s(one), _operations_per_s(other))
        for one, other in zip(rounds, to, strict=True)
        if isinstance(one, Measured) and isinstance(other, Measured)
    ]
    return ratios(*zip(*both, strict=True)).document(3) if both else None


def ratios(these: Sequence[float], to: Sequence[float]) -> Spread:
    """Round by round: what was measured at about the same time."""
    return Spread.of([one / other for one, other in zip(these, to, strict=True)])


def _row(name: str, rounds: Sequence[Measured | str], first: Sequence[Measured | str], clients: int) -> dict[str, Any]:
    measured = [one for one in rounds if isinstance(one, Measured)]
    rates = [_operations_per_s(one) for one in measured]
    each = [one.row() for one in measured]
    failed: Counter[str] = Counter()
    for one in measured:
        failed.update(one.failed)
    return {
        "system": name,
        "clients": clients,
        "operations": measured[0].load.operations if measured else None,
        "operations_per_s": Spread.of(rates).document(1) if rates else None,
        "ratio": _ratio_of(rounds, first),
        **{field: _median([row[field] for row in each], 3) for field in _MEDIANS},
        "clients_cpu_us_per_operation": _median([_us(one.clients_cpu_s, one) for one in measured], 2),
        "servers_cpu_us_per_operation": _median([_us(_servers_cpu_s(one), one) for one in measured], 2),
        "servers_cpu_share": _median([_servers_cpu_s(one) / one.load.seconds for one in measured], 3),
        "samples": sum(row["samples"] for row in each),
        "failed": dict(failed),
        "rounds": [round(_operations_per_s(one), 1) if isinstance(one, Measured) else None for one in rounds],
        "missed": [one for one in rounds if isinstance(one, str)],
    }


def _operations_per_s(measured: Measured) -> float:
    return measured.tx_per_s * measured.load.operations


def _servers_cpu_s(measured: Measured) -> float:
    return sum(used for used in measured.replicas_cpu_s if used is not None)


def _us(seconds: float, measured: Measured) -> float:
    """Microseconds of the window's processor time, for each operation that was done in it."""
    return seconds * 1e6 / (_operations_per_s(measured) * measured.load.seconds)


def _median(values: Sequence[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), digits) if known else None


def table(found: Sequence[dict[str, Any]]) -> str:
    """For people: a block of lines for each number of clients."""
    width = max(len(row["system"]) for row in found)
    head = f"{'clients':>7}  {'system':{width}} {'ops/s':>8} {'ratio':>7} {'range':>11} {'p50 ms':>8} {'p99 ms':>8}"
    lines = [f"{'':{len(head)}}  cpu µs/op", f"{head}  {'clients':>7} {'servers':>7}"]
    last = None
    for row in found:
        if last not in (None, row["clients"]):
            lines.append("")
        lines.append(
            f"{row['clients'] if last != row['clients'] else '':>7}  {row['system']:{width}} "
            f"{_number(row['operations_per_s'] and row['operations_per_s']['median'], 0):>8} {_ratio(row['ratio'])} "
            f"{_number(percentile_of(row, 50)):>8} {_number(percentile_of(row, 99)):>8}  "
            f"{_number(row['clients_cpu_us_per_operation']):>7} {_number(row['servers_cpu_us_per_operation']):>7}"
            f"{_troubles(row)}"
        )
        last = row["clients"]
    return "\n".join(lines)


def likes_text(found: Sequence[dict[str, Any]]) -> list[str]:
    """For people: a line for each row that has a like."""
    return [
        f"{_clients(row['clients'])}, {row['system']}: {_times(ratio['median'])}x "
        f"({_times(ratio['least'])}-{_times(ratio['greatest'])}) {row['like']}"
        for row in found
        if (ratio := row.get("ratio_to_like")) is not None
    ]


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return f"{'-':>7} {'':>11}"
    is_one = ratio["least"] == ratio["greatest"]
    spread = "" if is_one else f"{_times(ratio['least'])}-{_times(ratio['greatest'])}"
    return f"{_times(ratio['median']) + 'x':>7} {spread:>11}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def _troubles(row: dict[str, Any]) -> str:
    missed = f"  {len(row['missed'])} of {len(row['rounds'])} rounds missed" if row["missed"] else ""
    return missed + "".join(f"  {count} {how}" for how, count in row["failed"].items())


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
