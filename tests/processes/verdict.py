"""The verdict on a group of processes that has stopped: the oracles of `check` on its stores and on what clients saw.

The traitors' stores are judged like all others: they are those of the honest cores in them. What a traitor signed is
not, and it may be convicted.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.ids import ReplicaId, Seq
from bftledger.check.agreement import compare_chains
from bftledger.check.answers import acknowledgement
from bftledger.check.evidence import check_convicted
from bftledger.check.ledgers import Ledgers
from bftledger.check.new_views import check_new_view
from bftledger.check.promises import check_signed
from bftledger.check.verdict import Seen, judge_ledgers
from bftledger.check.violation import Violation
from bftledger.client import Outcome
from bftledger.home.home import Home
from bftledger.ledger.proofs import RememberingVerifier
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import NewView, Record
from bftledger.storage.recall import recall_evidence, recall_recent, recall_votes
from bftledger.storage.sqlite import SqliteStore
from tests.processes.group import ALL, Processes

AHEAD_MS: Final = 1_000
"""As in `sim.verdict`: blocks in a row may be so far ahead of the clock. All clocks are one here."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is in one replica's store. `blocks`: their encodings, from height 1 on. `signed`: votes, certificates, what
    decided the newest blocks, and evidence; all authentic. `entered`: the NEW-VIEW by which it entered its last view,
    if that is not the first."""

    blocks: tuple[bytes, ...]
    signed: tuple[Record, ...]
    entered: tuple[NewView, ...]
    evidence: tuple[Evidence, ...]


def objections(group: Processes, seen: Seen, liars: Collection[ReplicaId] = ()) -> list[str]:
    """What the audit of the stores and the oracles say; the replicas, all of them level, do not run any more.

    `liars`: who was a traitor at any time.
    """
    problems = [str(problem) for report in group.audit() for problem in report.problems]
    return problems or [str(violation) for violation in judge(group.home, left_of(group.home), seen, liars)]


def seen_of(outcomes: Iterable[Outcome]) -> Seen:
    """What is known of clients of which only that was kept."""
    return Seen(acknowledged=[acknowledgement(outcome.receipt) for outcome in outcomes if outcome.receipt])


def left_of(home: Home) -> dict[ReplicaId, Left]:
    """What all replicas of a group have left."""
    door = Authenticator(home.genesis.group, Ed25519Verifier())
    return {i: _read(home, i, door) for i in ALL}


def _read(home: Home, replica: ReplicaId, door: Authenticator) -> Left:
    genesis = home.genesis
    with closing(SqliteStore(home.ledger_path(replica), genesis.genesis_hash, replica)) as store:
        blocks = [store.block(Seq(height)) for height in range(1, store.height() + 1)]
        votes = recall_votes(store, door)
        signed: list[Record] = [*votes]
        for recent in recall_recent(store, door, len(blocks)):
            signed += [proof for proof in (recent.certificate, recent.commits) if proof is not None]
        evidence = recall_evidence(store, genesis.group, Ed25519Verifier())
    signed += [message for one in evidence for message in (one.first, one.second)]
    return Left(
        blocks=tuple(block for block in blocks if block is not None),
        signed=tuple(signed),
        entered=tuple(vote for vote in votes if isinstance(vote, NewView)),
        evidence=tuple(evidence),
    )


def judge(home: Home, left: Mapping[ReplicaId, Left], seen: Seen, liars: Collection[ReplicaId] = ()) -> list[Violation]:
    """What the oracles say of it: agreement, then all that judge ledgers and clients, promises, new views, evidence.

    Every replica must have what was acknowledged.
    """
    genesis, honest = home.genesis, [i for i in left if i not in liars]
    reader = Ledgers(genesis.genesis_hash)
    forks = compare_chains({f"replica {i}": reader.read(one.blocks).hashes for i, one in left.items()})
    found = forks + judge_ledgers(
        {i: one.blocks for i, one in left.items()},
        seen,
        genesis=genesis,
        machine=load_machine(genesis.app, genesis.app_params),
        verifier=RememberingVerifier(Ed25519Verifier()),
        holders=len(left),
        ahead=home.config.protocol.clock_skew_ms + AHEAD_MS,
    )
    found += check_signed([record for one in left.values() for record in one.signed], honest)
    for i, one in left.items():
        for message in one.entered:
            found += check_new_view(i, message, genesis.group)
    convicted = {evidence.replica for i in honest for evidence in left[i].evidence}
    return found + check_convicted(convicted, honest=honest, group=genesis.group, is_forked=bool(forks))
