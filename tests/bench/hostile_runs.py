"""Runs beside hostile clients as they might have been, for tests of what is made of them."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, repeat
from operator import itemgetter
from typing import Any, Final

from bftledger.base.ids import ReplicaId
from bftledger.bench.attack_verdict import Finding, Verdict
from bftledger.bench.calibration import Calibration
from bftledger.bench.footprint import Memory
from bftledger.bench.hostile_plan import Hostile, hostiles
from bftledger.bench.hostile_process import Did
from bftledger.bench.hostile_row import Look, Run, row
from bftledger.bench.measured import Load, Measured
from bftledger.bench.results import Result, Setting

START: Final = 100.0
PARTS_S: Final = {"clean": 4.0, "attacked": 8.0, "after": 4.0, "control": 4.0}
_REPLICAS: Final = 4


def measured(rates: Mapping[str, float], latencies_s: Mapping[str, float]) -> Measured:
    """So many transactions per second in each part, evenly, each with the latency of its part, in a closed loop."""
    steps = chain.from_iterable(
        repeat((1 / rates[name], latencies_s[name]), round(rates[name] * PARTS_S[name])) for name in PARTS_S
    )
    pauses, waits = zip(*steps, strict=True)
    done = [START + at_s - 1e-6 for at_s in accumulate(pauses)]
    return of([(at_s - wait_s, at_s) for at_s, wait_s in zip(done, waits, strict=True)])


def of(transactions: Sequence[tuple[float, float]], due: float | None = None) -> Measured:
    """When each began and was done. `due`: the rate of an open loop, None for a closed one."""
    ordered = sorted(transactions, key=itemgetter(1))
    return Measured(
        load=Load(clients=8, seconds=sum(PARTS_S.values()), rate=due),
        start_s=START,
        begun=array("d", (begun for begun, _ in ordered)),
        done=array("d", (done for _, done in ordered)),
        failures=[],
    )


def look(at_s: float, cpu_s: float, mb: float, gone: int = _REPLICAS - 1) -> Look:
    """What replicas had taken and held by then, each a MB more than the one before; from `gone` on none is known."""
    known = [ReplicaId(i) for i in range(gone)]
    return Look(
        at_s=at_s,
        cpu_s=dict.fromkeys(known, cpu_s),
        memory={i: Memory(rss=mb + i, peak_rss=mb + i + 1, pss=None, uss=None) for i in known},
    )


def a_run(
    name: str = "forged:1",
    *,
    hostile_rate: float | None = None,
    kept: float = 0.4,
    control: float = 0.8,
    drained_s: float | None = 4.1,
    ok: bool = True,
    instead: Measured | None = None,
) -> dict[str, Any]:
    """A row: 100/s and 10 ms when clean, `kept` of that beside a hostile one, `control` of it beside the control.

    A replica takes 0.2 cores, 0.4 when attacked, then 0.1, and 0.3 beside the control, when replica 2 is gone.
    The hostile one sends 5,000 frames per second, or `hostile_rate`. `instead`: what honest clients saw, if something
    else.
    """
    hostile: Hostile = hostiles([name], [hostile_rate])[0]
    rates = {"clean": 100.0, "attacked": 100.0 * kept, "after": 100.0, "control": 100.0 * control}
    waits = {part: 1 / rate for part, rate in rates.items()}
    begun, ended = START + PARTS_S["clean"], START + PARTS_S["clean"] + PARTS_S["attacked"]
    after, over = ended + PARTS_S["after"], START + sum(PARTS_S.values())
    frames = round((hostile_rate or 5_000) * (ended - begun)) if hostile.kind.sends else 0
    return row(
        Run(
            hostile=hostile,
            measured=instead or measured(rates, waits),
            bucket_s=1.0,
            did=Did(
                begun_s=begun,
                ended_s=ended,
                cpu_s=4.0,
                frames=frames,
                size=400 * frames,
                answers={"Refused": frames // 2, "Busy": 3} if frames else {},
                answers_size=40 * frames,
                committed=80,
            ),
            burnt=Did(begun_s=after, ended_s=over, cpu_s=2.0, answers={}),
            looks={
                "before": look(START, 0.0, 50),
                "clean": look(begun, 0.8, 50),
                "attacked": look(ended, 4.0, 90),
                "after": look(after, 4.4, 70),
                "drained": look(after, 4.6, 70),
                "control": look(over, 5.8, 70, gone=2),
            },
            drained_s=drained_s,
            happened=[],
            counters={"refused: bad signature": 7, "sent": 9},
            verdict=Verdict(
                findings={
                    "agreement": Finding(ok=ok, text="4 identical ledgers" if ok else "block 2 is two"),
                    "progress": Finding(ok=True, text="every transaction was answered"),
                },
                evidence=[],
                acknowledged=7,
                slowest_ms=1_500.0,
                bound_ms=11_650,
            ),
        )
    ) | {"command": f"python bench/hostile.py --hostile {hostile.name}"}


def a_result(*rows: dict[str, Any]) -> Result:
    """Of these runs; as the script puts it together, of a machine that was not calibrated."""
    setting = Setting(
        bench="hostile",
        seed=1,
        replicas=_REPLICAS,
        calibration=Calibration(ed25519_verifications_per_s=1, store_commits_per_s=1, zeromq_round_trip_us=1),
        machine={"cores": 2},
        config={"replicas": _REPLICAS, "clients": 8},
    )
    return setting.result(rows, not_measured=[])
