"""What the network of a run promises once the run has healed, and whether it keeps that.

All that is said of how long a group may take after healing rests on how long a message takes. With links, that is a
promise that a run can break: lines carry as much as they can, and it depends on the replicas how much there is to
carry. So each run measures it. If one breaks the promise, either the plan's lines are too narrow for what was drawn, or
replicas send more than they should.
"""

from typing import Final

from bftledger.check.violation import Violation
from bftledger.sim.network import Link
from bftledger.sim.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bftledger.sim.world import World

ORACLE: Final = "network"

BURST_BYTES: Final = 8_000
"""What one honest machine has to carry to another at once, up its line and down the other's. The largest frames that a
campaign on narrow lines has seen after healing, but for blocks: 15 kB of TESTIMONY, and a NEW-VIEW of 6 kB."""

MOST_JITTER: Final = 7
"""The weather's jitter is at most so many times its mean (`network.Network`)."""


def slowest_us(plan: Plan) -> int:
    """What a message takes at most between two who are honest; in the mean, if only the weather delays it."""
    weather, links = plan.weather, plan.links
    if links is None:
        return weather.delay_us + weather.jitter_us
    slowest = weather.delay_us + MOST_JITTER * weather.jitter_us + links.longest_us
    if links.narrowest:
        slowest += 1_000 * BURST_BYTES * plan.connections // links.narrowest
    return slowest


def begin(world: "World") -> None:
    """The run has healed: from here on the promise holds, but for what is still under way or has to be fetched."""
    if world.lines is not None:
        world.lines.heal(_honest_links(world), world.plan.connections, _missing_bytes(world))


def settles_after_us(world: "World") -> int:
    """So long after healing the promise begins to hold."""
    return 0 if world.lines is None else max(0, world.lines.settled - 1_000 * world.plan.heal_at)


def check_kept(world: "World") -> list[Violation]:
    """The slowest message, if it took longer than promised."""
    if world.lines is None:
        return []
    took = world.lines.slowest_us
    slowest = max(_honest_links(world), key=lambda link: took.get(link, 0))
    most = slowest_us(world.plan)
    if took.get(slowest, 0) <= most:
        return []
    source, to = (f"replica {place}" if place >= 0 else f"client {-1 - place}" for place in slowest)
    what = f"a message from {source} to {to} took {took[slowest] // 1_000} ms, at most {most // 1_000} ms are promised"
    return [Violation(ORACLE, what)]


def _honest_links(world: "World") -> list[Link]:
    """Between any two who are honest, each one way."""
    places = [*world.plan.honest, *(-1 - client.number for client in world.clients)]
    return [(a, b) for a in places for b in places if a != b and max(a, b) >= 0]


def _missing_bytes(world: "World") -> int:
    """What the honest replica that is the furthest behind has to fetch."""
    hosts = [world.hosts[i] for i in world.plan.honest]
    least = min(host.height for host in hosts)
    longest = max(hosts, key=lambda host: host.height)
    return sum(len(rows.block) for rows in longest.disk.rows() if rows.height > least)
