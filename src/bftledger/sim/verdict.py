"""What the oracles say of what is left when a run is over: the ledgers, the evidence, and what clients were told."""

from typing import Final

from bftledger.base.ids import ReplicaId
from bftledger.check import evidence
from bftledger.check.verdict import Seen, judge_ledgers
from bftledger.check.violation import Violation, Who
from bftledger.pbft.evidence import verify_evidence
from bftledger.sim.history import acknowledgements, blocks_of, expirations, operations, tellings
from bftledger.sim.plan import Jump, Plan
from bftledger.sim.world import World

AHEAD_MS: Final = 1_000
"""Blocks are at least 1 ms apart: many of them in a row may be so far ahead of all clocks together."""


def judge_ledger(world: World, has_settled: bool) -> list[Violation]:
    """What the ledgers of the honest replicas and what clients were told show. `has_settled`: all have caught up."""
    honest, clients = world.plan.honest, world.clients
    ledgers: dict[Who, list[bytes]] = {i: blocks_of(world.hosts[i].disk) for i in honest}
    seen = Seen(
        history=operations(call for client in clients for call in client.calls),
        acknowledged=acknowledgements(clients),
        tellings=list(tellings(clients)),
        expired=expirations(clients),
    )
    return judge_ledgers(
        ledgers,
        seen,
        genesis=world.genesis,
        machine=world.machine,
        verifier=world.keys.verifier,
        holders=_holders(world, has_settled),
        ahead=_clocks_ahead_ms(world.plan),
    )


def _holders(world: World, has_settled: bool) -> int:
    """So many honest replicas have what a client holds a receipt for: all of them when everybody has caught up, else
    as many as there are in every quorum; one at least, however few are honest."""
    group, honest = world.genesis.group, world.plan.honest
    return len(honest) if has_settled else max(1, group.quorum - (group.n - len(honest)))


def _clocks_ahead_ms(plan: Plan) -> int:
    """By so much the time of a block may be ahead at most: the fastest clock of a run, and what that lets pass."""
    jumps = sum(max(0, fault.by_ms) for fault in plan.faults if isinstance(fault, Jump))
    return max((0, *plan.skew_ms)) + jumps + plan.settings.clock_skew_ms + AHEAD_MS


def convicted_in(world: World) -> set[ReplicaId]:
    """Whom the evidence convicts that honest replicas hold; each piece is checked as anybody would check it."""
    held = {data for i in world.plan.honest for _, _, data in world.hosts[i].disk.evidence()}
    return {verify_evidence(data, world.genesis.group, world.keys.verifier).replica for data in held}


def judge_evidence(world: World, *, is_forked: bool) -> list[Violation]:
    """Whether the evidence convicts enough of the traitors, if there is a fork, and nobody who is honest."""
    return evidence.check_convicted(
        convicted_in(world), honest=world.plan.honest, group=world.genesis.group, is_forked=is_forked
    )
