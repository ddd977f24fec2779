"""The process of a hostile client. Started by `hostile_run`, which says on standard input what to do:

    → {"home": …, "kind": …, …}         the job, one line of JSON
    ← {"ready": true}                   what it will send is made, and what it needs is in the ledger
    → {"begin": …, "end": …}            when to be hostile, in seconds of the system's monotonic clock
    ← {"frames": …, …}                  what it did and got
    → {"begin": …, "end": …, "share": …}    when to take so much of the processors' time, 1 for a core, for nothing
    ← {"cpu_s": …, …}                   what it took; then the process ends

The second part is the control: whoever runs beside a group on one machine takes time from it whatever it does.
"""

import asyncio
import hashlib
import json
import math
import random
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bftledger.base.crypto import Ed25519Signer
from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.base.ids import ReplicaId, Seq
from bftledger.bench import open_files
from bftledger.bench.hostile_frames import USUAL_BYTES, Past, put, signed, source
from bftledger.bench.hostile_lines import Lines
from bftledger.bench.hostile_plan import KINDS
from bftledger.bench.open_files import allow_files
from bftledger.client import AsyncClient
from bftledger.home.home import Home

_PAST: Final = 256
"""So many transactions it has committed beforehand, if it needs any."""

_AT_ONCE: Final = 32
_GIVE_UP_S: Final = 30.0

_BURNT_AT_ONCE: Final = 256 * 1024
"""So many bytes are hashed between two looks at the clocks: less than a millisecond's work, without Python's lock."""

_NAP_S: Final = 0.002
_LEAST_THREADS: Final = 2
"""A hostile client has its own and ZeroMQ's: where time is scarce, who has more threads gets more of it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process does: `kind` of `hostile_plan.KINDS`; `at`: whom it turns to, on so many `connections` each.

    `rate`: frames per second, None for as many as it can.
    """

    home: str
    kind: str
    at: list[int]
    connections: int
    rate: float | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Did:
    """What a hostile client did and got. Times on the system's monotonic clock.

    `answers` by the names of their kinds; `committed`: transactions of its that it was told are in the ledger.
    `cpu_s`: processor time, all threads, user and system.
    """

    begun_s: float
    ended_s: float
    cpu_s: float
    frames: int = 0
    size: int = 0
    answers: dict[str, int]
    answers_size: int = 0
    committed: int = 0

    @property
    def span_s(self) -> float:
        """How long it went on."""
        return self.ended_s - self.begun_s

    @property
    def cpu_share(self) -> float:
        """The same by time: 1 is all of a core."""
        return self.cpu_s / self.span_s


def attack(job: Job, home: Home, past: Past, begin_s: float, end_s: float) -> Did:
    """Connects at that moment, is hostile until the other, and leaves. Raises `OperatorError`."""
    kind, at = KINDS[job.kind], [ReplicaId(i) for i in job.at]
    what = source(kind.name, home.genesis, past, f"{job.seed}/hostile") if kind.sends else None
    allow_files(job.connections * len(at) * open_files.PER_CONNECTION + open_files.OTHERS)
    time.sleep(max(0.0, begin_s - time.monotonic()))
    begun_s, cpu_s = time.monotonic(), time.process_time()
    lines = Lines(home, at, job.connections, largest=what.largest if what else 0, reads=kind.reads)
    try:
        found = lines.flood(what, end_s, job.rate)
    finally:
        lines.close()
    return Did(
        begun_s=begun_s,
        ended_s=time.monotonic(),
        cpu_s=time.process_time() - cpu_s,
        frames=found.frames,
        size=found.size,
        answers=dict(found.answers),
        answers_size=found.answers_size,
        committed=found.committed,
    )


def burn(share: float, begin_s: float, end_s: float) -> Did:
    """Takes that share of a core's time, or of several cores', as far as there is so much to be had."""
    time.sleep(max(0.0, begin_s - time.monotonic()))
    begun_s, cpu_s = time.monotonic(), time.process_time()

    def work() -> None:
        data = bytes(_BURNT_AT_ONCE)
        while (now := time.monotonic()) < end_s:
            if time.process_time() - cpu_s < share * (now - begun_s):
                hashlib.sha256(data).digest()
            else:
                time.sleep(_NAP_S)

    threads = [threading.Thread(target=work) for _ in range(max(_LEAST_THREADS, math.ceil(share)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Did(begun_s=begun_s, ended_s=time.monotonic(), cpu_s=time.process_time() - cpu_s, answers={})


async def commit_past(home: Home, seed: int) -> Past:
    """Has some transactions committed. Raises `OperatorError` if the group does not."""
    chance = random.Random(f"{seed}/past")
    signer = Ed25519Signer(chance.randbytes(32))
    keys = [b"past %d" % i for i in range(_PAST)]
    transactions, heights = [], []
    async with AsyncClient.open(home, timeout=_GIVE_UP_S) as client:
        for first in range(0, _PAST, _AT_ONCE):
            some = [
                signed(signer, home.genesis, put(key, USUAL_BYTES, chance), chance)
                for key in keys[first : first + _AT_ONCE]
            ]
            outcomes = await asyncio.gather(*(client.submit_transaction(transaction) for transaction in some))
            if not all(outcome.ok for outcome in outcomes):
                raise OperatorError("the group does not commit what a hostile client needs beforehand")
            transactions += some
            heights += [Seq(outcome.height or 0) for outcome in outcomes]
    return Past(transactions=transactions, heights=heights, keys=keys)


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("bench: whoever started this hostile client is gone")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _run() -> None:
    job = Job(**_hear())
    home = Home.open(Path(job.home))
    past = asyncio.run(commit_past(home, job.seed)) if KINDS[job.kind].needs_past else Past()
    _say({"ready": True})
    part = _hear()
    _say(asdict(attack(job, home, past, part["begin"], part["end"])))
    part = _hear()
    _say(asdict(burn(part["share"], part["begin"], part["end"])))


def main() -> None:
    """The process. What goes wrong is said as {"error": …}."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it, and will end it
    try:
        _run()
    except BftLedgerError as error:
        _say({"error": str(error)})


if __name__ == "__main__":
    main()
