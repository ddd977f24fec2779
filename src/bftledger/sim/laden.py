"""Plans with a primary that orders without end, and clients who have to wait: as they were drawn, but laden.

How long a primary may let wait what it was given depends on what it orders meanwhile (`pbft.suspicion.patience`). In
other plans nobody has so much to order that this would matter. Here a traitor leads from the start and censors all but
itself, others keep their behaviours, cuts stay as drawn and so do other replicas' crashes, and in many of these plans
the clients have more to say than the room for what backups pass on can hold at once.
"""

from dataclasses import replace
from random import Random
from typing import Final

from bftledger.base.ids import Millis, ReplicaId
from bftledger.sim.plan import Plan

CENSOR: Final = "busy-censor"

LONG_MS: Final = Millis(300_000)
"""As long as the genesis allows: what a primary starves must not expire before it is left."""


def laden(plan: Plan, chance: Random) -> Plan:
    """The plan with such a traitor in place of one of its own, or of replica 0."""
    traitors = dict(plan.traitors)
    if traitors:
        del traitors[max(traitors)]
    return replace(
        plan,
        settings=replace(
            plan.settings,
            batch_count=chance.choice((1, 2, 4)),
            batch_bytes=chance.choice((1 << 17, 1 << 18)),
            pool_count=chance.choice((20, 80, 10_000)),
        ),
        weather=replace(plan.weather, bytes_per_ms=0),
        traitors={ReplicaId(0): (CENSOR,), **{i: names for i, names in traitors.items() if i != 0}},
        faults=tuple(fault for fault in plan.faults if getattr(fault, "replica", None) != 0),
        work=replace(
            plan.work,
            clients=2,
            operations=chance.choice((3, 6)),
            burst=chance.choice((3, 6)),
            lifetime_ms=LONG_MS,
        ),
    )
