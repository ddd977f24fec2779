"""Whether a plan that somebody wrote or changed by hand can be run, and what of it no run could mean.

What a file says has the right shape already (`Plan.from_json`); here are the types of its numbers, their ranges, and
the replicas that it names. A plan that is drawn from a seed never fails this.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.pbft.settings import Settings
from bftledger.sim.draw import COLLUDE
from bftledger.sim.plan import Crash, Cut, Jump, Plan, Slow, Storm, Work

LEAST_N: Final = 4
LEAST: Final[dict[tuple[type, str], int | None]] = {
    (Plan, "max_payload_bytes"): 1,
    (Crash, "sent"): -1,
    (Jump, "by_ms"): None,
    **{(Work, name): 1 for name in ("clients", "operations", "keys", "burst")},
    **{(Settings, field.name): 1 for field in fields(Settings) if field.name != "batch_wait_ms"},
}
"""What a number is at least, where that is not 0; None: it may be anything."""


def check(plan: Plan) -> None:
    """Raises `OperatorError` for the first thing that makes no sense."""
    for objection in _objections(plan):
        raise OperatorError(f"this is not a plan ({objection}): see docs/formats.md")


def _objections(plan: Plan) -> Iterator[str]:
    for part, where in ((plan, ""), (plan.settings, "settings."), (plan.weather, "weather."), (plan.work, "work.")):
        yield from _numbers(part, where)
    for number, fault in enumerate(plan.faults):
        yield from _numbers(fault, f"faults[{number}].")
        if isinstance(fault, Storm):
            yield from _numbers(fault.weather, f"faults[{number}].weather.")
        if not fault.at < fault.until <= plan.heal_at:
            yield f"faults[{number}] has to begin before it ends, and to end by heal_at"
    if plan.links is not None:
        yield from _numbers(plan.links, "links.")
        yield from plan.links.objections(plan.n + len(plan.twins))
    if any(type(skew) is not int for skew in plan.skew_ms):
        yield "skew_ms are whole numbers"
    if plan.script is not None and plan.script.view_ms < 1:
        yield "script.view_ms is 1 at least"
    yield from _members(plan)


def _numbers(part: Any, where: str) -> Iterator[str]:
    """Numbers of another type than the field's, or out of its range."""
    for field in fields(part):
        value = getattr(part, field.name)
        name = f"{where}{field.name}"
        if field.type is bool:
            if type(value) is not bool:
                yield f"{name} is true or false"
        elif field.type is float:  # a share, or a probability
            if type(value) not in (int, float) or not 0 <= value <= 1:
                yield f"{name} is a number from 0 to 1"
        elif field.type is int or getattr(field.type, "__supertype__", None) is int:
            least = LEAST.get((type(part), field.name), 0)
            if type(value) is not int:
                yield f"{name} is a whole number"
            elif least is not None and value < least:
                yield f"{name} is {least} at least"


def _members(plan: Plan) -> Iterator[str]:
    """Replicas that are named and are none, and groups of which nobody is honest."""
    if plan.n < LEAST_N:
        yield f"n is {LEAST_N} at least"
    if len(set(plan.twins)) < len(plan.twins) or not all(_is_in(i, plan.n) for i in plan.twins):
        yield f"twins are different replicas from 0 to {plan.n - 1}"
    for i, names in plan.traitors.items():
        if not _is_in(i, plan.n):
            yield f"traitor {i} is no replica from 0 to {plan.n - 1}"
        if not all(type(name) is str for name in names):
            yield f"what traitor {i} does are names, as {COLLUDE}"
    if not plan.honest:
        yield "nobody is honest"
    machines = plan.n + len(plan.twins)
    for number, fault in enumerate(plan.faults):
        named = [place for link in fault.links for place in link] if isinstance(fault, Cut) else []
        named += [fault.replica] if isinstance(fault, Crash | Jump | Slow) else []
        if not all(type(place) is int and place < machines for place in named):  # clients have negative numbers
            yield f"faults[{number}] names a replica that there is not"


def _is_in(i: ReplicaId, n: int) -> bool:
    return type(i) is int and 0 <= i < n
