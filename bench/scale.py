"""How the cost of agreement grows with the group: messages, bytes, processor time, throughput, view changes.

By counting and measuring on virtual time, where each replica's rounds take as long as they took to run, and as groups
of processes as far as this machine goes.
"""

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from scale_config import scale_config
from scale_tables import shown, text
from script import Script

from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis
from bftledger.bench import options as opt
from bftledger.bench.machine import cores
from bftledger.bench.measured import Load
from bftledger.bench.results import Result, Setting, say, write
from bftledger.bench.scale_blocks import measure_blocks
from bftledger.bench.scale_costs import Costs
from bftledger.bench.scale_group import Model, Stalled
from bftledger.bench.scale_laws import all_laws, ceiling_tx_per_s, surprises
from bftledger.bench.scale_loads import ClosedLoop, full_blocks, predict, usual
from bftledger.bench.scale_processes import PROCESSES, measure_processes
from bftledger.bench.scale_timeouts import USUAL, fault, measured_within, stretched
from bftledger.bench.scale_views import measure_view_change
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/scale.py
  python bench/scale.py --replicas 4,7,10 --parts blocks,views      counts and view changes only: quick
  python bench/scale.py --replicas 4,16 --batch 1 --delay-ms 20 --mbit 100      far apart, on thin lines
  python bench/scale.py --stores /dev/shm      sooner over: the wait for the disk is measured, but not waited
  python bench/scale.py --parts processes --processes 4,7,10 --seconds 10
  python bench/scale.py --parts loads --replicas 31 --batch 1 --request-timeout-ms 4000
  python bench/scale.py --json scale.json --html scale.html
  python bench/scale.py --from scale.json --png scale.png"""

PARTS = ("blocks", "views", "loads", "processes")


def command_line() -> ArgumentParser:
    """The options."""
    parser = opt.parser(__doc__ or "", EXAMPLES)
    add = parser.add_argument
    add("--replicas", type=opt.counts, default="4,7,10,16,31", metavar="N,…", help="(default 4,7,10,16,31)")
    add("--batch", type=opt.counts, default="1,128", metavar="N,…", help="transactions in a block (default 1,128)")
    add("--blocks", type=opt.count, default=12, metavar="N", help="that count, of each load (default 12)")
    add("--in-flight", type=_numbers, default="0,8", metavar="N,…", help="slots when the primary dies (default 0,8)")
    add("--processes", type=opt.counts, default="4,7,10,16", metavar="N,…", help="real groups (default 4,7,10,16)")
    add("--parts", type=_parts, default=list(PARTS), metavar="PART,…", help=f"of {', '.join(PARTS)} (default all)")
    add("--clients", type=opt.count, default=64, metavar="N", help="of the closed loops (default 64)")
    add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
    add("--delay-ms", type=_not_negative, default=0.5, metavar="MS", help="one way, with a core each (default 0.5)")
    add("--mbit", type=_not_negative, default=0.0, metavar="N", help="that a replica can send (default 0: no limit)")
    add("--disk-ms", type=_not_negative, metavar="MS", help="wait for a durable commit (default: as measured)")
    add("--stores", type=Path, metavar="DIR", help="for stores on virtual time: on tmpfs a run is over much sooner")
    add("--cores", type=opt.count, default=cores(), metavar="N", help="that replicas share (default: this machine's)")
    add("--budget", type=opt.seconds, default=60.0, metavar="SECONDS", help="CPU for a predicted load (default 60)")
    add("--seconds", type=opt.seconds, default=4.0, help="measured window of processes (default 4)")
    add("--warmup", type=opt.seconds, default=1.5, help="seconds before it that do not count (default 1.5)")
    add("--timeout", type=opt.seconds, default=30.0, help="until a client of processes gives up (default 30)")
    add(
        "--request-timeout-ms",
        type=_request_timeout,
        metavar="MS",
        help=f"T of loads and processes, STATUS in proportion (default {USUAL.request_timeout_ms}; a load in which a "
        f"primary is changed then, though nothing is wrong, is measured once more with {USUAL.request_timeout_ms}·n/4)",
    )
    add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
    opt.add_output(parser)
    return parser


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """All parts, each of them for all sizes; the JSON file is written after each part."""
    if options.stores is not None and not options.stores.is_dir():
        raise OperatorError(f"{options.stores}: is no directory")
    opt.check_payload(options.size)
    for size in (*options.replicas, *options.processes):
        opt.check_replicas(size)
        if Settings().window > largest_window(size):
            raise opt.Misused(f"with {size} replicas the usual window of {Settings().window} is too large")
    directory = Path(gettempdir())
    config = scale_config(options)
    setting = Setting.take(
        "scale", seed=options.seed, replicas=min(options.replicas), directory=directory, config=config
    )
    say(setting.line)
    costs = Costs.measure(directory, disk_us=None if options.disk_ms is None else 1_000 * options.disk_ms)
    say(
        f"a frame costs {costs.frame_us:.0f} µs and {costs.kib_us:.2f} µs for each KiB at either end, "
        f"a durable commit waits {costs.disk_us:.0f} µs"
    )
    found = _Found()
    for part, run in (("blocks", _blocks), ("views", _views), ("loads", _loads), ("processes", _processes)):
        if part in options.parts:
            run(options, costs, found)
            if options.json not in (None, "-"):
                write(_result(setting, costs, found), options.json)
    return _result(setting, costs, found)


def _result(setting: Setting, costs: Costs, found: "_Found") -> Result:
    """Of what was measured so far."""
    verifications, shared = setting.calibration.ed25519_verifications_per_s, setting.config["cores_shared"]
    ceiling = partial(ceiling_tx_per_s, verifications_per_s=verifications, shared=shared, machine=cores())
    return setting.result(
        [row | {"ceiling_tx_per_s": round(ceiling(row), 1)} for row in found.loads],
        blocks=found.blocks,
        view_changes=found.views,
        laws=all_laws(found.blocks, found.views, found.loads),
        surprises=surprises(found.blocks, found.views, found.loads),
        not_measured=found.failed,
        costs=costs.document(),
    )


@dataclass
class _Found:
    """The rows so far. `failed`: what could not be measured, and why."""

    blocks: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    loads: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, rows: list[dict[str, Any]], what: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measures a row of these."""
        say(f"{what} …")
        try:
            rows.append(measure())
        except Stalled as error:
            say(f"  not measured: {error}")
            self.failed.append({"what": what, "error": str(error)})

    def add_loads(self, what: str, rows: Iterator[dict[str, Any]]) -> None:
        """The same for a load, which may take more than one."""
        say(f"{what} …")
        for row in rows:
            self.loads.append(row)
            if row["error"] is not None:
                say(f"  {row['error']}")


def _model(
    options: Namespace, costs: Costs, replicas: int, shared: int | None = None, settings: Settings = USUAL
) -> Model:
    return Model(
        replicas=replicas,
        costs=costs,
        settings=settings,
        size=options.size,
        seed=options.seed,
        cores=shared,
        delay_us=round(1_000 * options.delay_ms),
        bytes_per_ms=round(125 * options.mbit),
        stores=options.stores,
    )


def _blocks(options: Namespace, costs: Costs, found: _Found) -> None:
    for replicas, batch in product(options.replicas, options.batch):
        model = _model(options, costs, replicas)
        what = f"{replicas} replicas, {options.blocks} blocks of {batch} one after the other"
        found.add(found.blocks, what, partial(measure_blocks, model, batch, options.blocks))


def _views(options: Namespace, costs: Costs, found: _Found) -> None:
    for replicas, in_flight in product(options.replicas, options.in_flight):
        what = f"{replicas} replicas, the primary falls silent with {in_flight} slots in flight"
        found.add(found.views, what, partial(measure_view_change, _model(options, costs, replicas), in_flight))


def _loads(options: Namespace, costs: Costs, found: _Found) -> None:
    loops = [full_blocks(batch, USUAL.pipeline, options.blocks, options.budget) for batch in options.batch]
    loops.append(usual(options.clients, options.blocks, options.budget))
    for replicas, loop, shared in product(options.replicas, loops, (None, options.cores)):
        where, by = ("with", "a core each") if shared is None else ("sharing", _cores(shared))
        measure = partial(_predicted, options, costs, replicas, shared, loop)
        what = f"{replicas} replicas {where} {by}, closed loop of {loop.clients} clients, {loop.name}"
        found.add_loads(what, measured_within(options.request_timeout_ms, replicas, by, measure))


def _predicted(
    options: Namespace, costs: Costs, replicas: int, shared: int | None, loop: ClosedLoop, settings: Settings
) -> dict[str, Any]:
    return predict(_model(options, costs, replicas, shared, settings), loop)


def _processes(options: Namespace, _: Costs, found: _Found) -> None:
    load = Load(
        clients=options.clients,
        seconds=options.seconds,
        size=options.size,
        warmup_s=options.warmup,
        seed=options.seed,
        timeout_s=options.timeout,
    )
    for replicas in options.processes:
        what = f"{replicas} processes, {load}: {load.seconds:g} s"
        measure = partial(measure_processes, replicas, load)
        found.add_loads(what, measured_within(options.request_timeout_ms, replicas, _cores(cores()), measure))


def _cores(number: int) -> str:
    return f"{number} core{'s' * (number != 1)}"


# ── showing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def draw(result: Result) -> Sequence["Picture"]:
    """Messages and bytes with their laws, processor time and throughput, and view changes."""
    import scale_pictures  # noqa: PLC0415

    return scale_pictures.draw(result)


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _numbers(said: str) -> list[int]:
    return [opt.count_or_none(part) for part in said.split(",")]


def _parts(said: str) -> list[str]:
    found = said.split(",")
    if not set(found) <= set(PARTS):
        raise ArgumentTypeError(f"{said!r}: parts are {', '.join(PARTS)}")
    return found


def _request_timeout(said: str) -> Millis:
    timeout_ms = Millis(opt.count(said))
    if (found := fault(stretched(timeout_ms))) is not None:
        raise ArgumentTypeError(f"{said!r} makes {found}")
    return timeout_ms


def _not_negative(said: str) -> float:
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not (math.isfinite(value) and 0 <= value < 1e6):
        raise ArgumentTypeError(f"{said!r} is not a number of 0 or more")
    return value


def _is_whole(result: Result) -> bool:
    """Whether nothing stood still that was to be measured, and all groups of processes came up.

    What no group of that size can carry here is a finding (`got`), and a prediction may end before its time.
    """
    processes = [row for row in result["results"] if row["how"] == PROCESSES]
    return not result["not_measured"] and not any(row.get("error") and "got" not in row for row in processes)


if __name__ == "__main__":
    sys.exit(Script(command_line(), measure, text, shown, draw, is_good=_is_whole).main())
