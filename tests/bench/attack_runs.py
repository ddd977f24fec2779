"""Runs under attack as they might have been, for tests of what is made of them."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, chain, repeat
from typing import Any, Final

from bftledger.base.ids import ReplicaId, View
from bftledger.bench.attack_plan import HONEST, Attack, parse
from bftledger.bench.attack_row import Run, row
from bftledger.bench.attack_series import Series
from bftledger.bench.attack_sweep import SWEEPS, Curve
from bftledger.bench.attack_verdict import Finding, Verdict
from bftledger.bench.attack_watch import Event
from bftledger.bench.attack_work import Usage
from bftledger.bench.calibration import Calibration
from bftledger.bench.measured import Load, Measured
from bftledger.bench.results import Result, Setting
from bftledger.pbft.settings import Settings
from tests.builders import FAST

START: Final = 100.0
BEGUN: Final = 104.0
ENDED: Final = 112.0

MACHINE: Final = {"cpu": "a", "cores": 2, "memory_gb": 1.0, "system": "b", "filesystem": "c"}
PROOF: Final = {"replica": 0, "rule": "two-proposals", "what": "replica 0 signed two proposals", "kept_by": [1]}


def measured(*rates: tuple[float, int], rate: float | None = None) -> Measured:
    """So many transactions in so many seconds, one part after the other, evenly; each took 10 ms. `rate`: as if so many
    had been due each second."""
    steps = chain.from_iterable(repeat(seconds / count, count) for seconds, count in rates)
    done = [START + at_s - 1e-6 for at_s in accumulate(steps)]
    return Measured(
        load=Load(clients=1, seconds=sum(seconds for seconds, _ in rates), rate=rate),
        start_s=START,
        begun=array("d", (at_s - 0.01 for at_s in done)),
        done=array("d", done),
        failures=[],
    )


def a_run(
    *views: tuple[float, int],
    attack: Attack | None = None,
    deviations: int = 40,
    proven: bool = False,
    attacked_s: float = ENDED - BEGUN,
    done: Measured | None = None,
) -> dict[str, Any]:
    """100/s when clean, 10/s in the first 2 s of the attack, 80/s in the rest of it, 100/s after it.

    `views`: when which view began. `attack`: `equivocate` without it. `proven`: whether there is evidence.
    `attacked_s`: how long it lasts. `done`: what was done instead.
    """
    attack = attack or parse("equivocate", faulty=1)
    ended = BEGUN + attacked_s
    rest = (attacked_s - 2.0, round(80 * (attacked_s - 2.0)))
    edges = [Event(BEGUN, "edge", "attack", "it begins"), Event(ended, "edge", "end", "it ends")]
    found = row(
        Run(
            attack=attack,
            traitors=attack.traitors(4),
            setup_s=(4.0, attacked_s, 4.0),
            bucket_s=1.0,
            measured=done or measured((4.0, 400), (2.0, 20), rest, (4.0, 400)),
            happened=sorted([*edges, *events(views)], key=lambda event: event.at_s),
            begun_s=BEGUN,
            ended_s=ended,
            verdict=Verdict(
                findings={"agreement": Finding(ok=True, text="3 identical ledgers")},
                evidence=[PROOF] if proven else [],
                acknowledged=7,
                slowest_ms=1_500.0,
                bound_ms=11_650,
            ),
            deviations={} if attack.is_control or not deviations else {attack.name: deviations},
            usages=[a_usage(START), a_usage(BEGUN), a_usage(ended), a_usage(ended + 4.0)],
            group=FAST.group(4),
        )
    )
    return found | {"command": None if attack.is_control else "python bench/adversary.py", "seed": 1, "tries": 1}


def a_curve(*, kept: Sequence[int], lost: Sequence[int]) -> dict[str, Any]:
    """Of `slow` at these strengths, in percent of T: with some it kept its view, with others it lost it after 2 s."""
    curve = Curve(replace(SWEEPS["slow"], strengths=(*kept, *lost)), Settings(), faulty=1)
    rows = {}
    for strength in (*kept, *lost):
        attack = curve.attack(strength)
        rows[attack.name] = a_run(*[(BEGUN + 2.0, 1)] * (strength in lost), attack=attack)
    return curve.document(rows)


def a_usage(at_s: float) -> Usage:
    """Of replicas that use a tenth of a core and the traitor, number 0, all of one; all that grow by 1 MB a second."""
    replicas = [ReplicaId(i) for i in range(4)]
    since = at_s - START
    return Usage(
        at_s=at_s,
        cpu_s={i: 5.0 + since * (1.0 if i == 0 else 0.1) for i in replicas},
        memory_mb=dict.fromkeys(replicas, 50.0 + since),
        disk_mb=dict.fromkeys(replicas, 2.0 + 2 * since),
    )


def events(views: Sequence[tuple[float, int]]) -> list[Event]:
    """Of views that begin."""
    return [Event(at_s, "view", f"view {view}", f"view {view} begins", View(view)) for at_s, view in views]


def a_setting(**config: Any) -> Setting:
    """Of a result; `config`: what is otherwise in it."""
    usual = {
        "replicas": 4,
        "clients": 2,
        "rate": None,
        "seconds": [4.0, 8.0, 4.0],
        "load": "closed loop",
        "repeat": 1,
        "controls": 0,
        "protocol": {"request_timeout_ms": 500, "batch_wait_ms": 50},
    }
    return Setting(
        bench="adversary",
        seed=1,
        replicas=4,
        calibration=Calibration(ed25519_verifications_per_s=1, store_commits_per_s=1, zeromq_round_trip_us=1),
        machine=MACHINE | {"load_before": 1},
        config=usual | config,
    )


def a_result() -> Result:
    """Of one run in which the primary equivocated and was replaced, and of an honest one."""
    series = Series(a_setting(controls=1))
    series.add(HONEST, a_run(attack=HONEST))
    series.add(parse("equivocate", faulty=1), a_run((BEGUN + 2.0, 1), proven=True))
    return series.result()
