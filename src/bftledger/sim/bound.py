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
from bftledger.sim import promise
from bftledger.sim.laden import CENSOR
from bftledger.sim.world import World

OVERHEAD_BYTES: Final = 1_024
"""A client's transaction has no more than so many bytes beside its value."""

BATCH_MS: Final = 2 * TICK_MS
"""A traitor that orders full batches of its own has one decided at every tick of its own, or at every second one."""

AGREEMENT: Final = 4
"""Or as soon as the one before is decided, after so many messages in a row, where the plan has links."""

ASKING: Final = 4
"""So many messages in a row are those of a client's linearizable read: it asks for the height, and then for the value;
of what it submits, two."""


def recovery_bound_ms(world: World) -> Millis:
    """So long after the healing, or after its call if that is later, every client has its answer."""
    states = [host.running.replica.state for host in world.up if host.running]
    failed = max((state.failed_views for state in states), default=0)
    plan = world.plan
    delay_ms = promise.slowest_us(plan) // 1_000
    if plan.links is None:
        before, batches = 0, 1
    else:
        delay_ms += 1 + plan.round_us // 1_000
        before = -(-promise.settles_after_us(world) // 1_000) + ASKING * delay_ms
        batches = 1 + (plan.work.hostile if plan.work.hostile_rest_ms else 0)
    bound = progress.recovery_bound_ms(
        plan.settings,
        world.genesis.group,
        Timing(),
        failed_views=failed,
        batches=batches,
        delay_ms=delay_ms,
        busy_ms=_busy_ms(world, states, delay_ms),
    )
    return Millis(before + bound)


def _busy_ms(world: World, states: Sequence[State], delay_ms: int) -> Millis:
    """How long a traitor may order batches of its own before what anybody passes on, if one has so many to order.

    `delay_ms`: what a message takes.
    """
    plan, settings = world.plan, world.plan.settings
    if CENSOR not in {name for names in plan.traitors.values() for name in names}:
        return Millis(0)
    work = plan.work
    each = least_cost(settings) + work.payload_bytes + OVERHEAD_BYTES
    at_once = min(work.clients * work.operations, max(1, 2 * room_out(settings, plan.n).max_count))
    most = max(suspicion.patience(state, at_once * each) for state in states)
    each_ms = BATCH_MS if plan.links is None else BATCH_MS + AGREEMENT * delay_ms
    return Millis(each_ms * -(-most // settings.batch_bytes))
