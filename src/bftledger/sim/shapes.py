"""Shapes of networks, drawn from a seed: plans as they were drawn, but on links of a certain kind (`sim.links`).

The group's settings fit its network, as an operator's should: T is as long as `IN_A_ROW` messages take, each as slow as
can be, and whatever is timed is stretched as T is, so that what was drawn happens, only slower. On narrow lines
batches, pipeline and payloads are smaller, too.
"""

from dataclasses import replace
from random import Random
from typing import Final

from bftledger.base.ids import Millis
from bftledger.check.progress import IN_A_ROW
from bftledger.sim.laden import CENSOR, LONG_MS
from bftledger.sim.links import Links
from bftledger.sim.plan import Plan
from bftledger.sim.promise import slowest_us

WAN: Final = "wan"
TAILS: Final = "tails"
NARROW: Final = "narrow"
MIXED: Final = "mixed"
KINDS: Final = (WAN, TAILS, NARROW)
NAMES: Final = (*KINDS, MIXED)

LEAST_LINES: Final = (100, 200, 500)
"""Bytes per millisecond of the narrowest line of four replicas; of more in proportion, as more connections share it."""

WIDEST: Final = 20
"""So many times as much carries the widest."""

NARROW_PAYLOAD: Final = 1_024
NARROW_PIPELINE: Final = 3
NARROW_BATCH: Final = 4
NARROW_WINDOW: Final = 16


def shaped(plan: Plan, name: str) -> Plan:
    """The plan in a network of that name; `mixed`: of one kind or of several at once, and hostile clients never stop.

    A primary that orders megabytes without end (`sim.laden`) is never on a narrow line: there it could not.
    """
    chance = Random(f"{plan.seed}/network")
    kinds = {name} if name in KINDS else set()
    while not kinds:
        kinds = {kind for kind in KINDS if chance.random() < 0.5}
    if NARROW in kinds and any(CENSOR in names for names in plan.traitors.values()):
        kinds = {WAN}
    links = _far_apart(plan.n, chance) if WAN in kinds else _close_together(plan.n, chance)
    if TAILS in kinds:
        jitter_us, most_us = chance.choice((200, 1_000, 3_000)), chance.choice((20_000, 50_000, 100_000))
        links = replace(links, jitter="pareto", jitter_us=jitter_us, most_us=most_us)
    if NARROW in kinds:
        plan, links = _frugal(plan), _narrow(links, plan.n, chance)
    weather = replace(plan.weather, delay_us=0, jitter_us=0, bytes_per_ms=0)
    plan = _paced(replace(plan, links=links, weather=weather))
    if name == MIXED and plan.work.hostile:
        plan = replace(plan, work=replace(plan.work, hostile_rest_ms=plan.settings.request_timeout_ms))
    return plan


# ── links ──


def _close_together(n: int, chance: Random) -> Links:
    """One place."""
    delay_us = chance.choice((200, 1_000, 5_000))
    return Links(
        regions=(0,) * n, delays_us=((delay_us,),), jitter="uniform", jitter_us=delay_us // 4, most_us=delay_us
    )


def _far_apart(n: int, chance: Random) -> Links:
    """Two to four regions around the world. Half of it is some 100 ms of fibre, and no cable goes straight: 0.8 ms for
    each degree. The way back may be another one, and longer."""
    count = chance.choice((2, 3, 4))
    regions = [*range(count), *(chance.randrange(count) for _ in range(n - count))]
    chance.shuffle(regions)
    degrees = [chance.randrange(360) for _ in range(count)]

    def delay(a: int, b: int) -> int:
        if a == b:
            return chance.randint(200, 800)
        apart = abs(degrees[a] - degrees[b])
        return (2_000 + 800 * min(apart, 360 - apart)) * chance.randint(100, 130) // 100

    delays = tuple(tuple(delay(a, b) for b in range(count)) for a in range(count))
    mean = chance.choice((100, 500, 2_000))
    return Links(regions=tuple(regions), delays_us=delays, jitter_us=mean, most_us=7 * mean)


def _narrow(links: Links, n: int, chance: Random) -> Links:
    """One line is the narrowest, the others are like it or wider; some are wider down than up."""
    least = chance.choice(LEAST_LINES) * n // 4
    up = [least, *(least * chance.choice((1, 2, WIDEST)) for _ in range(n - 1))]
    chance.shuffle(up)
    return replace(links, up=tuple(up), down=tuple(rate * chance.choice((1, 4)) for rate in up))


# ── what fits them ──


def _frugal(plan: Plan) -> Plan:
    """With settings for narrow lines: the pipeline's proposals and a view's certificates are small."""
    settings = plan.settings
    return replace(
        plan,
        settings=replace(
            settings,
            window=min(settings.window, NARROW_WINDOW),
            pipeline=min(settings.pipeline, NARROW_PIPELINE),
            batch_count=min(settings.batch_count, NARROW_BATCH),
        ),
        max_payload_bytes=NARROW_PAYLOAD,
    )


def _paced(plan: Plan) -> Plan:
    """With a T that fits its links, and all other times as much longer as T is."""
    settings, work, script = plan.settings, plan.work, plan.script
    before = settings.request_timeout_ms
    after = max(before, -(-IN_A_ROW * (slowest_us(plan) + plan.round_us) // 1_000))

    def slower(time: int) -> Millis:
        return Millis(time * after // before)

    return replace(
        plan,
        settings=replace(
            settings,
            batch_wait_ms=slower(settings.batch_wait_ms),
            request_timeout_ms=slower(settings.request_timeout_ms),
            timeout_cap_ms=slower(settings.timeout_cap_ms),
            status_interval_ms=slower(settings.status_interval_ms),
            idle_status_interval_ms=slower(settings.idle_status_interval_ms),
        ),
        faults=tuple(replace(fault, at=slower(fault.at), until=slower(fault.until)) for fault in plan.faults),
        script=script and replace(script, view_ms=slower(script.view_ms)),
        work=replace(
            work,
            think_ms=slower(work.think_ms),
            spread_ms=slower(work.spread_ms),
            lifetime_ms=min(LONG_MS, slower(work.lifetime_ms)),
        ),
        heal_at=slower(plan.heal_at),
    )
