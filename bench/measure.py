"""What both benchmarks share: the machine's calibration, the options, the group, and the JSON object."""

import argparse
import json
import os
import platform
import pstats
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import zmq
from clients import LIFETIME_MS, make_payloads
from group import LocalGroup, made_home, running_group
from load import Load, Measured, run_load
from nacl import bindings

from bftledger.base.crypto import Ed25519Signer
from bftledger.base.errors import BftLedgerError
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.home.home import Home

_SLICES = 5
_SLICE_S = 0.1
_FSYNCS = 25
_PROFILE_LINES = 30

Report = Callable[[list[Measured]], None]
"""Prints what was measured, for people, on standard output."""


# ── calibration ──────────────────────────────────────────────────────────────────────────────────────────────────────


def verifications_per_s() -> float:
    """Ed25519 verifications of a 32-byte digest through PyNaCl, by one core: the best of a few slices of time."""
    public, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(bytes(range(32)), secret)
    rates = []
    for _ in range(_SLICES):
        count, begun = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < _SLICE_S:
            bindings.crypto_sign_open(signed, public)
            count += 1
        rates.append(count / elapsed)
    return max(rates)


def durable_write_ms(directory: Path) -> float:
    """The median time that appending 4 KiB to a file in `directory` and fdatasync take."""
    times = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(_FSYNCS):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(times)


def cores() -> int:
    """How many cores this process, and so all that it starts, may use."""
    return len(os.sched_getaffinity(0))


def machine(home: Home) -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cores": cores(),
        "cpu": _cpu_model(),
        "system": platform.platform(),
        "filesystem": _filesystem(home.path),
        "durable_write_ms": round(durable_write_ms(home.path), 3),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libzmq": zmq.zmq_version(),
        "versions": {name: version(name) for name in ("bftledger", "PyNaCl", "pyzmq", "cbor2")},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(path: Path) -> str:
    """The type of the file system that holds `path`: what is durable on tmpfs is durable nowhere."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, this_kind, *_ = line.split()
        if path.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, this_kind
    return kind


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def parser(description: str, examples: str, clients: str) -> argparse.ArgumentParser:
    """The options of both benchmarks; `clients`: the default loads."""
    result = argparse.ArgumentParser(
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--clients", type=_counts, default=clients, metavar="N,…", help=f"closed-loop clients (default {clients})")
    add("--size", type=_count, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
    add("--seconds", type=_seconds, default=5.0, help="measured window of each load (default 5)")
    add("--warmup", type=_seconds, default=1.0, help="seconds before it that do not count (default 1)")
    add("--replicas", type=_count, default=4, metavar="N", help="size of the group (default 4)")
    add("--processes", type=_count, default=1, metavar="N", help="processes that the clients share (default 1)")
    add(
        "--connections",
        type=int,
        default=1,
        metavar="N",
        help="connections that the clients of a process share; 0: each has its own (default 1)",
    )
    add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
    add("--timeout", type=_seconds, default=30.0, help="seconds until a client gives a transaction up (default 30)")
    add("--home", type=Path, metavar="DIR", help="make the group there, or use the one there, and leave it")
    add("--keep", action="store_true", help="leave the temporary home, too")
    add("--profile", type=int, metavar="REPLICA", help="profile this replica, which makes it slower")
    add("--json", action="store_true", help="print one JSON object on standard output")
    return result


def run(options: argparse.Namespace, report: Report, extend: Callable[[Measured], dict[str, Any]]) -> int:
    """Measures all loads; prints the JSON object, its rows extended by `extend`, or what `report` prints."""
    try:
        make_payloads(options.size, 0, random.Random())
        return _run(options, report, extend)
    except (BftLedgerError, ValueError) as error:
        _say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, report: Report, extend: Callable[[Measured], dict[str, Any]]) -> int:
    calibration = verifications_per_s()
    ceiling = cores() * calibration / options.replicas
    calibration_line = (
        f"calibration: {calibration:,.0f} Ed25519 verifications/s on one core; "
        f"{cores()} cores / {options.replicas} replicas: at most {ceiling:,.0f} tx/s"
    )
    _say(calibration_line)
    with made_home(options.home, replicas=options.replicas, keep=options.keep) as home:
        if options.profile is not None:
            home.check_replica_id(options.profile)
        about, config = machine(home), _config(options, home)
        _say(
            f"{options.replicas} replicas in {home.path} ({about['filesystem']}, "
            f"a durable write takes {about['durable_write_ms']} ms)"
        )
        with running_group(home, options.profile) as group:
            measured = [_measure(group, load) for load in _loads(options)]
        hot = _profile_rows(group.profile, sum(one.total for one in measured)) if group.profile else None
    if hot is not None:
        _say_profile(options.profile, hot)
    if options.json:
        result = {
            "calibration": round(calibration, 1),
            "ceiling_tx_per_s": round(ceiling, 1),
            "results": [one.row() | extend(one) for one in measured],
            "machine": about,
            "config": config,
        }
        print(json.dumps(result | ({} if hot is None else {"profile": hot})))
        return 0
    print(f"{calibration_line}\n")
    report(measured)
    return 0


def _loads(options: argparse.Namespace) -> list[Load]:
    return [
        Load(
            clients=clients,
            size=options.size,
            seconds=options.seconds,
            warmup_s=options.warmup,
            processes=options.processes,
            connections=options.connections,
            seed=options.seed,
            timeout_s=options.timeout,
        )
        for clients in options.clients
    ]


def _measure(group: LocalGroup, load: Load) -> Measured:
    _say(f"{load.clients} clients: {load.warmup_s:g} s warm-up, {load.seconds:g} s measured …")
    measured = run_load(group, load)
    group.check()
    if measured.failed:
        _say(f"bench: not committed: {measured.failed}")
    if measured.view:
        _say(f"bench: the group is in view {measured.view}: its primary was changed in this load or before")
    return measured


def _config(options: argparse.Namespace, home: Home) -> dict[str, Any]:
    return {
        "replicas": options.replicas,
        "app": home.genesis.app,
        "size_is": "bytes of payload, an operation of the application; the signed transaction adds its envelope",
        "transaction_bytes": _transaction_bytes(home, options.size),
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "clients": "closed loop: a key each, one transaction under way, every receipt verified",
        "seconds": options.seconds,
        "warmup_s": options.warmup,
        "processes": options.processes,
        "connections_per_process": options.connections or "one per client",
        "seed": options.seed,
        "profiled_replica": options.profile,
        "protocol": asdict(home.config.protocol),
    }


def _transaction_bytes(home: Home, size: int) -> int:
    """How long the whole signed transaction is, as it travels and as blocks hold it."""
    now = Millis(time.time_ns() // 1_000_000)
    transaction = sign(
        Ed25519Signer(bytes(32)),
        home.genesis.genesis_hash,
        nonce=bytes(NONCE_BYTES),
        created=now,
        expires=Millis(now + LIFETIME_MS),
        payload=bytes(size),
    )
    return len(transaction.encoded)


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _profile_rows(path: Path, transactions: int) -> list[dict[str, Any]]:
    """Where a replica's processor time went, the most expensive functions first; microseconds per transaction."""
    profile: Any = pstats.Stats(str(path))
    rows = [
        {
            "function": f"{'/'.join(Path(file).parts[-2:])}:{name}" if line else name,
            "calls_per_tx": round(calls / transactions, 2),
            "own_us_per_tx": round(own / transactions * 1e6, 2),
            "cumulative_us_per_tx": round(cumulative / transactions * 1e6, 2),
        }
        for (file, line, name), (_, calls, own, cumulative, _) in profile.stats.items()
    ]
    return sorted(rows, key=lambda row: -row["own_us_per_tx"])[:_PROFILE_LINES]


def _say_profile(replica: int, rows: Sequence[dict[str, Any]]) -> None:
    _say(f"\nreplica {replica} under cProfile, µs of its own processor time per transaction:")
    _say(f"{'own':>8} {'with callees':>12} {'calls':>7}  function")
    for row in rows:
        _say(
            f"{row['own_us_per_tx']:>8.1f} {row['cumulative_us_per_tx']:>12.1f} {row['calls_per_tx']:>7.1f}  "
            f"{row['function']}"
        )


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(text)


def _count(text: str) -> int:
    return int(text) if text.isdigit() and int(text) else _refuse(f"{text!r} is not a number of 1 or more")


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    return seconds if 0 < seconds < 86_400 else _refuse(f"{text!r} is not a time in seconds above 0")
