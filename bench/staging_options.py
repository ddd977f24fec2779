"""The options of the scripts in which a group is measured before, while and after somebody misbehaves."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bftledger.bench import options as opt
from bftledger.home.template import Template
from bftledger.pbft.settings import Settings

STEP_S = 0.1
"""Seconds of a bucket of the timeline, if no part is shorter than four of them."""

_NUMBERS = {3: "three", 4: "four"}


def add_parts(parser: ArgumentParser, usual: tuple[float, ...], names: str) -> None:
    """`--seconds`: how long the parts are that are called so."""
    as_text = ",".join(f"{part:g}" for part in usual)
    parser.add_argument(
        "--seconds",
        type=_parts(len(usual), as_text),
        default=usual,
        metavar=names,
        help=f"length of the parts of each run (default {as_text})",
    )


def add_load(parser: ArgumentParser, *, seed_is: str) -> None:
    """The group and the honest clients, but for how many these are and what they share."""
    add = parser.add_argument
    add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of an honest transaction (default 200)")
    add("--processes", type=opt.count, default=1, metavar="N", help="that the honest clients share (default 1)")
    add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="before the clean part (default 1)")
    add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
    add("--seed", type=int, default=1, help=f"of {seed_is} (default 1)")
    add("--keep", type=Path, metavar="DIR", help="leave the home of each run there, as DIR/NAME")


def staging(options: Namespace) -> dict[str, Any]:
    """The fields of a `Staging` that these options say: all but `rate`."""
    return {
        "replicas": options.replicas,
        "clients": options.clients,
        "size": options.size,
        "connections": options.connections,
        "processes": options.processes,
        "warmup_s": options.warmup,
        "timeout_s": options.timeout,
        "parts_s": options.seconds,
        "bucket_s": min(STEP_S, min(options.seconds) / 4),
        "seed": options.seed,
        "keep": options.keep,
    }


def config(options: Namespace) -> dict[str, Any]:
    """The same for the `config` of a result."""
    return {
        "replicas": options.replicas,
        "app": Template().app,
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "clients": options.clients,
        "size": options.size,
        "processes": options.processes,
        "seconds": list(options.seconds),
        "warmup_s": options.warmup,
        "timeout_s": options.timeout,
        "protocol": asdict(Settings()),
    }


def words(options: Namespace, usual: ArgumentParser, names: Iterable[str]) -> list[str]:
    """The options of these names, and `--seconds`, as they are written, if they are not as usual."""
    found = []
    for name in names:
        value = getattr(options, name)
        if value != usual.get_default(name):
            found.append(f"--{name.replace('_', '-')} {value}")
    if options.seconds != usual.get_default("seconds"):
        found.append(f"--seconds {','.join(f'{part:g}' for part in options.seconds)}")
    return found


def one_rate(text: str) -> float:
    """So many per second."""
    found = opt.rates(text)
    if len(found) != 1:
        raise ArgumentTypeError(f"{text!r} is not one rate per second")
    return found[0]


def _parts(count: int, example: str) -> Callable[[str], tuple[float, ...]]:
    def parse(text: str) -> tuple[float, ...]:
        parts = text.split(",")
        if len(parts) != count:
            raise ArgumentTypeError(f"{text!r} is not {_NUMBERS[count]} times in seconds, as {example}")
        return tuple(opt.seconds(part) for part in parts)

    return parse
