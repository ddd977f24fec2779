"""Plans in stages: as they were drawn, but who hears whom changes with the view, and views change all the time.

Most of what can go wrong goes wrong in view changes that have something to carry over: what is prepared at some and not
at others, sequence numbers with a gap before them, replicas that lag or have just restarted. In other plans that is
rare. Here the network follows a script as in Twins (`sim.script`): each view has its partition, COMMITs go to those
who hear one another in the next view, and clients come in each. Traitors, crashes, cuts and loss are added, as drawn.
"""

from dataclasses import replace
from random import Random

from bftledger.base.ids import Millis
from bftledger.sim.plan import Fault, Plan, Storm
from bftledger.sim.twins import sampled


def staged(plan: Plan, chance: Random) -> Plan:
    """The plan with a script for its network, and with the pace of one. `plan` must have a time to heal at."""
    stages = sampled(chance.getrandbits(32), plan.n, 0, chance.choice((2, 2, 3)), chance.choice((2, 3, 4, 5))).plan()
    faults = [_scaled(fault, plan.heal_at, stages.heal_at) for fault in plan.faults if not isinstance(fault, Storm)]
    loss = chance.choice((0.0, 0.0, 0.1, 0.25, 0.4))
    if loss:
        faults.append(Storm(at=0, until=stages.heal_at, weather=replace(stages.weather, loss=loss)))
    return replace(
        plan,
        settings=replace(
            stages.settings,
            window=chance.choice((4, 8, 16)),
            pipeline=chance.choice((1, 3, 8)),
            batch_count=chance.choice((1, 1, 10)),
            clock_skew_ms=Millis(chance.choice((200, 2_000))),
        ),
        weather=replace(stages.weather, jitter_us=chance.choice((0, 300, 1_000))),
        round_us=chance.choice((200, 1_000)),
        skew_ms=tuple(chance.randint(-50, 50) for _ in range(plan.n)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        work=replace(
            plan.work,
            clients=stages.work.clients,
            operations=stages.work.operations,
            burst=chance.choice((1, 2, 4)),
            lifetime_ms=Millis(chance.choice((60_000, 60_000, 300))),
            patience_ms=stages.work.patience_ms,
            spread_ms=stages.work.spread_ms,
        ),
        script=stages.script,
        heal_at=stages.heal_at,
    )


def _scaled(fault: Fault, before: int, after: int) -> Fault:
    """The fault at the same time of a run that heals `after` milliseconds instead of `before`."""
    at = fault.at * after // before
    return replace(fault, at=at, until=max(at + 1, fault.until * after // before))
