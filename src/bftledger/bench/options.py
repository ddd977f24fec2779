"""What the command lines of all benchmarks share: value types, options, and how loads are made of them."""

import argparse
import math
import os
from pathlib import Path
from typing import Any, Final, NoReturn

from bftledger.apps.kv_payload import MAX_OPERATIONS
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import MAX_REPLICAS, MIN_REPLICAS, Genesis
from bftledger.bench.measured import Load, Measured
from bftledger.bench.payloads import payload_bytes
from bftledger.bench.results import say

WAIT_QUIET_VARIABLE: Final = "BFTLEDGER_BENCH_WAIT_QUIET"
"""The environment's word for `--wait-quiet`, for whoever runs many of the scripts."""

_DAY_S: Final = 86_400


class Misused(OperatorError):
    """A command line that makes no sense, whatever the machine: the text is one line, the exit status 2.

    For what no type of a single option can find. Raise it before anything is measured.
    """


def parser(description: str, examples: str) -> argparse.ArgumentParser:
    """An empty one; `examples` are shown as they are."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_output(options: argparse.ArgumentParser, *, wait_quiet_s: float = 30.0) -> None:
    """Where the result goes: `--json`, `--png`, `--html`, and `--from` for one that is there already.

    And `--wait-quiet`, with that default: what all scripts do before they measure.
    """
    add = options.add_argument
    add(
        "--wait-quiet",
        type=seconds_or_none,
        default=os.environ.get(WAIT_QUIET_VARIABLE, f"{wait_quiet_s:g}"),
        metavar="SECONDS",
        help="before the calibration, wait at most so long until the cores are idle; 0: do not look "
        f"(default {wait_quiet_s:g}, or what {WAIT_QUIET_VARIABLE} says)",
    )
    add("--json", nargs="?", const="-", metavar="FILE", help="write the result as JSON; - is standard output")
    add("--png", type=Path, metavar="FILE", help="draw it; further pictures are called FILE-2.png and so on")
    add("--html", type=Path, metavar="FILE", help="write it as one self-contained page")
    add("--from", dest="result", type=Path, metavar="FILE", help="measure nothing: show the result in this JSON file")


def add_group(options: argparse.ArgumentParser) -> None:
    """Which group: `--replicas`, `--home`, `--keep`."""
    add = options.add_argument
    add("--replicas", type=count, default=4, metavar="N", help="size of the group (default 4)")
    add("--home", type=Path, metavar="DIR", help="make the group there, or use the one there, and leave it")
    add("--keep", action="store_true", help="leave the temporary home, too")


def add_load(options: argparse.ArgumentParser, *, seconds_: float = 5.0, warmup: float = 1.0) -> None:
    """How to load it: `--seconds`, `--warmup`, `--processes`, `--connections`, `--seed`, `--timeout`."""
    add = options.add_argument
    add("--seconds", type=seconds, default=seconds_, help=f"measured window of each load (default {seconds_:g})")
    add("--warmup", type=seconds, default=warmup, help=f"seconds before it that do not count (default {warmup:g})")
    add("--processes", type=count, default=1, metavar="N", help="processes that the clients share (default 1)")
    add(
        "--connections",
        type=count_or_none,
        default=1,
        metavar="N",
        help="connections that the clients of a process share; 0: each has its own (default 1)",
    )
    add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
    add("--timeout", type=seconds, default=30.0, help="seconds until a client gives a transaction up (default 30)")


def load_of(options: argparse.Namespace, **more: Any) -> Load:
    """The load that the options of `add_load` say, and `more` of its fields."""
    return Load(
        **{
            "seconds": options.seconds,
            "warmup_s": options.warmup,
            "processes": options.processes,
            "connections": options.connections,
            "seed": options.seed,
            "timeout_s": options.timeout,
            **more,
        }
    )


def load_config(options: argparse.Namespace) -> dict[str, Any]:
    """The same for the `config` of a result."""
    return {
        "size_is": "bytes of an operation of the application; the signed transaction adds its envelope",
        "seconds": options.seconds,
        "warmup_s": options.warmup,
        "processes": options.processes,
        "connections_per_process": options.connections or "one per client",
    }


def check_payload(size: int, operations: int = 1, most: int = Genesis.max_payload_bytes) -> None:
    """Raises `Misused` if there is no operation of so many bytes, or no transaction of so many of them.

    `most`: the longest payload that the group takes, in bytes.
    """
    try:
        length = payload_bytes(size, operations)
    except ValueError as error:
        raise Misused(str(error)) from None
    if length > most:
        times = f"{operations} operations of {size:,} bytes make" if operations > 1 else "an operation is"
        raise Misused(f"{times} a payload of {length:,} bytes, and the group takes {most:,} at most")


def check_replicas(replicas: int) -> None:
    """Raises `Misused` if there is no group of so many."""
    if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
        raise Misused(f"a group of {replicas} is none: use {MIN_REPLICAS} to {MAX_REPLICAS} replicas")


def say_troubles(measured: Measured) -> None:
    """What a load had that a reader of its figures must know."""
    if measured.failed:
        say(f"bench: not committed: {measured.failed}")
    if measured.view:
        say(f"bench: the group is in view {measured.view}: its primary was changed in this load or before")


def count(text: str) -> int:
    """A number of 1 or more."""
    return int(text) if text.isdecimal() and int(text) else _refuse(f"{text!r} is not a number of 1 or more")


def count_or_none(text: str) -> int:
    """A number of 0 or more."""
    return int(text) if text.isdecimal() else _refuse(f"{text!r} is not a number of 0 or more")


def counts(text: str) -> list[int]:
    """Several of them, separated by commas."""
    return [count(part) for part in text.split(",")]


def size(text: str) -> int:
    """The bytes of an operation that there is."""
    found = count(text)
    try:
        payload_bytes(found, 1)
    except ValueError as error:
        _refuse(str(error))
    return found


def sizes(text: str) -> list[int]:
    """Several of them, separated by commas."""
    return [size(part) for part in text.split(",")]


def operations(text: str) -> list[int]:
    """Numbers of operations that a transaction may have, separated by commas."""
    found = counts(text)
    if max(found) > MAX_OPERATIONS:
        _refuse(f"a transaction has no {max(found)} operations: use 1 to {MAX_OPERATIONS}")
    return found


def seconds(text: str) -> float:
    """A time above 0 and below a day."""
    return _positive(text, _DAY_S, "a time in seconds above 0")


def seconds_or_none(text: str) -> float:
    """A time of 0 or more, below a day."""
    return _positive(text, _DAY_S, "a time in seconds of 0 or more", or_zero=True)


def rates(text: str) -> list[float]:
    """Rates per second, separated by commas."""
    return [_positive(part, 1e6, "a rate per second above 0") for part in text.split(",")]


def _positive(text: str, limit: float, what: str, *, or_zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return value if 0 < value < limit or (or_zero and value == 0) else _refuse(f"{text!r} is not {what}")


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(text)
