"""How long it takes until a new group works: its keys, its processes, its first commit, and `up` as it is typed.

A round makes two groups, so that each start is a first one. Of one the commands are timed that a user types, from the
start of the command to its end; of the other the processes, from before the first is started. Their client connects
when all of them listen. That of `up` is there before they are, and tries again after 50, 100, 200, 400, 800 ms: so what
`up` takes is more than what the group needs.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from bftledger.base.crypto import Ed25519Signer
from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, Transaction, sign
from bftledger.bench.listening import listens
from bftledger.bench.measured import percentile, rounded
from bftledger.bench.payloads import make_payloads
from bftledger.client import AsyncClient
from bftledger.home.home import Home
from bftledger.node.readiness import READY_S, wait_until_ready
from bftledger.node.supervisor import Supervisor, stop_running

STEPS: Final = {
    "first_commit": "from starting the processes until a client has verified its first receipt",
    "answered": "from starting the processes until all answer and are in a view",
    "init": "bftledger init, as a command: keys and genesis",
    "up": "bftledger up --detach, as a command, with the keys made before",
}
"""What a round measures, what counts most first. In its row `NAME_ms`."""

_LIFETIME_MS: Final = 60_000
_LOOK_S: Final = 0.005
_COMMAND_S: Final = 120.0
"""No command takes so long; one that does is ended."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Groups of so many `replicas`, in new directories in `directory`.

    `size`: bytes of the first transaction's payload; `seed`: of it and of the client's key; `timeout_s`: until the
    client gives up.
    """

    replicas: int
    directory: Path
    size: int
    seed: int
    timeout_s: float


def start_once(plan: Plan, number: int) -> dict[str, Any]:
    """The round of that number: a row of `rounds`, with `error` and what was measured before it if a start failed."""
    row: dict[str, Any] = {"round": number, **{f"{name}_ms": None for name in STEPS}, "error": None}
    try:
        with TemporaryDirectory(prefix="bftledger-start-", dir=plan.directory) as directory:
            typed, started = Path(directory, "typed"), Path(directory, "started")
            row["init_ms"] = _command_ms(typed, "init", "--replicas", str(plan.replicas))
            row["up_ms"] = _up_ms(typed)
            _command_ms(started, "init", "--replicas", str(plan.replicas))
            row |= _processes_ms(plan, Home.open(started), number)
    except BftLedgerError as error:
        row["error"] = str(error)
    return row


def summary(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `results`: a step over all rounds in which it was done, percentiles by nearest rank."""
    return [{"step": name, "what": what, **_spread(rounds, f"{name}_ms")} for name, what in STEPS.items()]


def _spread(rounds: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    took = sorted(row[name] for row in rounds if row[name] is not None)
    percentiles = {"min": 0, "p50": 50, "p99": 99, "max": 100}
    return {
        "tx_per_s": None,
        **{f"{how}_ms": rounded(percentile(took, percent)) for how, percent in percentiles.items()},
        "samples": len(took),
    }


# ── as it is typed ───────────────────────────────────────────────────────────────────────────────────────────────────


def _command_ms(home: Path, *words: str) -> float:
    """`bftledger --home HOME …`, to its end. Raises `OperatorError` with its last line if it fails."""
    command = [sys.executable, "-m", "bftledger", "--home", str(home), *words]
    begun = time.monotonic()
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OperatorError(f"bftledger {words[0]}: has not ended after {_COMMAND_S:g} s") from None
    took_ms = _ms_since(begun)
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"ended with status {ended.returncode}"]
        raise OperatorError(f"bftledger {words[0]}: {said[-1].removeprefix('bftledger: ')}")
    return took_ms


def _up_ms(path: Path) -> float:
    home = Home.open(path)
    try:
        return _command_ms(path, "up", "--detach")
    finally:
        stop_running(home)  # also those of a command that did not come to its end


# ── by its processes ─────────────────────────────────────────────────────────────────────────────────────────────────


def _processes_ms(plan: Plan, home: Home, number: int) -> dict[str, float]:
    transaction = _transaction(plan, home, number)
    with Supervisor(home) as supervisor:
        begun = time.monotonic()
        supervisor.start_missing()
        return asyncio.run(_first_commit_ms(supervisor, transaction, begun, plan.timeout_s))


async def _first_commit_ms(
    supervisor: Supervisor, transaction: Transaction, begun: float, timeout_s: float
) -> dict[str, float]:
    await _until_all_listen(supervisor, begun)
    async with AsyncClient.open(supervisor.home) as client:
        await wait_until_ready(client.status, supervisor)
        answered_ms = _ms_since(begun)
        outcome = await client.submit_transaction(transaction, timeout_s)
        first_commit_ms = _ms_since(begun)
    if not outcome.ok:
        raise OperatorError(f"the first transaction was not committed: {outcome}")
    return {"answered_ms": answered_ms, "first_commit_ms": first_commit_ms}


async def _until_all_listen(supervisor: Supervisor, begun: float) -> None:
    """Raises `OperatorError` if a replica has ended, or does not listen in time."""
    for replica in supervisor.replicas:
        while not await listens(supervisor.home, replica):
            supervisor.check_started()
            if _ms_since(begun) > READY_S * 1_000:
                raise OperatorError(f"replica {replica} does not listen after {READY_S:.0f} s")
            await asyncio.sleep(_LOOK_S)


def _transaction(plan: Plan, home: Home, number: int) -> Transaction:
    chance = Random(f"{plan.seed}/{number}")
    created = time.time_ns() // 1_000_000
    return sign(
        Ed25519Signer(chance.randbytes(32)),
        home.genesis.genesis_hash,
        nonce=chance.randbytes(NONCE_BYTES),
        created=Millis(created),
        expires=Millis(created + _LIFETIME_MS),
        payload=make_payloads(plan.size, 1, chance)[0],
    )


def _ms_since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1_000, 1)
