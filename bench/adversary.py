"""What attacks cost: throughput and latency before, while and after replicas lie, and the verdict on the ledgers."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from attack_options import command_line
from page import Shown
from script import Script
from staging_options import config, staging, words

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench import options as opt
from bftledger.bench.attack import run
from bftledger.bench.attack_lines import failure, is_good, line, text
from bftledger.bench.attack_page import page
from bftledger.bench.attack_plan import ALL, Attack, Place, attacks
from bftledger.bench.attack_series import Series, known, order
from bftledger.bench.attack_sweep import HALVINGS, SWEEPS, Curve, Sweep, parse_sweep
from bftledger.bench.results import Result, Setting, say, write
from bftledger.bench.staging import Staging
from bftledger.home.files import make_directory
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

_SAID = ("replicas", "clients", "rate", "size", "connections", "processes", "warmup", "timeout", "place")
"""Options that make a run what it is."""

CONTROLS = 2
"""So many honest runs of each occasion are enough to see how large the noise is."""


def measure(options: Namespace) -> Result:
    """All runs, one after the other; the JSON file is written after each."""
    faulty = (options.replicas - 1) // 3
    if not faulty:
        raise opt.Misused(f"--replicas {options.replicas}: nobody may lie in so small a group; take 4 or more")
    wanted, curves = _wanted(options, faulty)
    if options.resume and options.json in (None, "-"):
        raise opt.Misused("--resume goes on with the results in a file: name it with --json")
    if options.keep is not None:
        make_directory(options.keep)
    controls = options.controls
    if controls is None:
        controls = CONTROLS if curves or ALL in _behaviours(options) else 0
    setting = Setting.take(
        "adversary",
        seed=options.seed,
        replicas=options.replicas,
        directory=options.keep or Path(gettempdir()),
        config=_config(options, faulty) | {"repeat": options.repeat, "controls": controls},
    )
    say(setting.line)
    before = known(Path(options.json), setting) if options.resume else None
    series = Series(setting, before, curves=curves, wanted={attack.name for attack in wanted})
    swept = [attack for curve in curves for attack in curve.attacks()]
    once = {attack.name: attack for attack in [*wanted, *swept]}
    runs = list(order(list(once.values()), repeat=options.repeat, controls=controls))
    for count, (attack, number) in enumerate(runs, 1):
        _measure(options, series, attack, number, f"[{count}/{len(runs)}]")
    for curve in curves:
        for _ in range(HALVINGS):
            if (between := curve.refine(series.rows)) is None:
                break
            for number in range(1, options.repeat + 1):
                _measure(options, series, between, number, f"[between, of {curve.sweep.behaviour}]")
    if series.is_empty:
        raise OperatorError(f"{series.failed[0]['behaviour']}: {series.failed[0]['error']}")
    return series.result()


def _wanted(options: Namespace, faulty: int) -> tuple[list[Attack], list[Curve]]:
    """What --behaviour asks for, and what --sweep does."""
    place = None if options.place is None else Place(options.place)
    wanted: list[Attack] = []
    try:
        if _behaviours(options):
            wanted = attacks(
                _behaviours(options),
                faulty=faulty,
                only=options.only,
                skip=options.skip,
                place=place,
                collude=options.collude,
            )
        curves = [Curve(sweep, Settings(), faulty=faulty, place=place) for sweep in _sweeps(options)]
        for curve in curves:
            curve.attacks()
    except OperatorError as error:
        raise opt.Misused(str(error)) from None
    return wanted, curves


def _behaviours(options: Namespace) -> list[str]:
    return options.behaviour or ([] if options.sweep is not None else [ALL])


def _sweeps(options: Namespace) -> list[Sweep]:
    """Raises `OperatorError`."""
    return [] if options.sweep is None else [parse_sweep(text) for text in options.sweep or SWEEPS]


def _measure(options: Namespace, series: Series, attack: Attack, number: int, where: str) -> None:
    """One run, unless it is known."""
    name = f"{where} {attack.name}{f', run {number}' if number > 1 else ''}"
    if series.has(attack, number):
        say(f"{name}: known")
        return
    say(f"{name} …")
    try:
        found = run(attack, Staging(rate=options.rate, **staging(options)), number)
    except BftLedgerError as error:
        series.fail(attack, error)
        say(failure(series.failed[-1]))
        return
    say(f"  {line(found)}")
    series.add(attack, found | {"command": _command(options, attack, found["seed"])})
    if options.json not in (None, "-"):
        write(series.result(), options.json)


def _config(options: Namespace, faulty: int) -> dict[str, Any]:
    return config(options) | {
        "faulty": faulty,
        "load": "closed loop: a key each, one transaction under way, every receipt verified"
        if options.rate is None
        else f"open loop: {options.rate:g}/s due, latency from the moment a transaction is due, every receipt verified",
        "rate": options.rate,
        "connections": options.connections,
        "place": options.place or "by the kind of each behaviour",
        "collude": options.collude,
        "sweep": [f"{sweep.behaviour}:{','.join(map(str, sweep.strengths))}" for sweep in _sweeps(options)],
    }


def _command(options: Namespace, attack: Attack, seed: int) -> str | None:
    """What measures this one again; nothing for a control."""
    if attack.is_control:
        return None
    usual = command_line()
    said = [f"python bench/adversary.py --behaviour {attack.name}:{attack.count}", *words(options, usual, _SAID)]
    if seed != usual.get_default("seed"):
        said.append(f"--seed {seed}")
    if attack.colludes:
        said.append("--collude")
    return " ".join(said)


def draw(result: Result) -> Sequence["Picture"]:
    """What each attack leaves of the throughput, and all runs side by side."""
    import attack_pictures  # noqa: PLC0415

    return attack_pictures.draw(result)


def show(_: Result) -> Shown:
    """The page is made by `attack_page`."""
    raise AssertionError("this script composes its page")


SCRIPT = Script(
    parser=command_line(__doc__ or ""),
    measure=measure,
    text=text,
    show=show,
    draw=draw,
    compose=page,
    is_good=is_good,
)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
