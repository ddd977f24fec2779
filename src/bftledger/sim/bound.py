"""How long a run may take after its faults."""

from collections.abc import Sequence
from typing import Final

from bftledger.adversary.behaviour import TICK_MS
from bftledger.base.ids import Millis
from bftledger.check import progress
from bftledger.ledger.asking import Timing
from bftledger.pbft import suspicion
from bftledger.pbft.rooms import room_out
from bftledger.pbft.state import State
from bftledger.pbft.turns import least_cost
from bftledger.sim.laden import CENSOR
from bftledger.sim.world import World

OVERHEAD_BYTES: Final = 1_024
"""A client's transaction has no more than so many bytes beside its value."""

BATCH_MS: Final = 2 * TICK_MS
"""A traitor that orders full batches of its own has one decided at every tick of its own, or at every second one."""


def recovery_bound_ms(world: World) -> Millis:
    """So long after the healing, or after its call if that is later, every client has its answer."""
    states = [host.running.replica.state for host in world.up if host.running]
    failed = max((state.failed_views for state in states), default=0)
    weather, settings = world.plan.weather, world.plan.settings
    return progress.recovery_bound_ms(
        settings,
        world.genesis.group,
        Timing(),
        failed_views=failed,
        delay_ms=(weather.delay_us + weather.jitter_us) // 1_000,
        busy_ms=_busy_ms(world, states),
    )


def _busy_ms(world: World, states: Sequence[State]) -> Millis:
    """How long a traitor may order batches of its own before what anybody passes on, if one has so many to order."""
    plan, settings = world.plan, world.plan.settings
    if CENSOR not in {name for names in plan.traitors.values() for name in names}:
        return Millis(0)
    work = plan.work
    each = least_cost(settings) + work.payload_bytes + OVERHEAD_BYTES
    at_once = min(work.clients * work.operations, max(1, 2 * room_out(settings, plan.n).max_count))
    most = max(suspicion.patience(state, at_once * each) for state in states)
    return Millis(BATCH_MS * -(-most // settings.batch_bytes))
