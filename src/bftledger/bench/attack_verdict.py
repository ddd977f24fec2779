"""The verdict on a run under attack: the oracles of `check` on what honest replicas store and clients hold."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Any

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId
from bftledger.bench import receipts
from bftledger.bench.attack_bound import Course, bound_ms, slowest_ms, unanswered
from bftledger.bench.measured import Measured
from bftledger.check.agreement import compare_chains
from bftledger.check.durability import Durability
from bftledger.check.evidence import check_convicted
from bftledger.check.history import Operation
from bftledger.check.integrity import check_chain
from bftledger.check.ledgers import Ledgers
from bftledger.check.violation import Violation
from bftledger.check.witness import Ledger, check_witness
from bftledger.home.home import Home
from bftledger.ledger.proofs import RememberingVerifier
from bftledger.pbft.evidence import Evidence
from bftledger.storage.audit import AuditReport, audit_store
from bftledger.storage.snapshot import read_evidence, snapshot


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One honest replica's store: what the audit found, its blocks from height 1 on, and the evidence in it."""

    report: AuditReport
    blocks: tuple[bytes, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one oracle says."""

    ok: bool
    text: str

    @classmethod
    def of(cls, violations: Sequence[Violation], else_: str) -> "Finding":
        """The first violation and how many more there are, or `else_`."""
        if not violations:
            return cls(ok=True, text=else_)
        more = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
        return cls(ok=False, text=f"{violations[0].text}{more}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`findings` by oracle; `evidence` as in a result's row; `acknowledged`: how many receipts clients verified.

    `slowest_ms`: the longest that a client waited; `bound_ms`: the longest that one may have to.
    """

    findings: Mapping[str, Finding]
    evidence: list[dict[str, Any]]
    acknowledged: int
    slowest_ms: float
    bound_ms: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.ok for finding in self.findings.values())


def judge(
    home: Home,
    honest: Collection[ReplicaId],
    receipt_files: Path,
    measured: Measured,
    course: Course | None = None,
) -> Verdict:
    """Judges a run that is over: the replicas do not run any more. Audits as many stores at once as there are cores.

    `course`: what a request may have had to wait for; None if nobody watched.
    """
    group = home.genesis.group
    audited = dict(zip(sorted(honest), _audit_all(home, sorted(honest)), strict=True))
    kept = list(receipts.read(receipt_files))
    heights = sorted(len(one.blocks) for one in audited.values())
    reach = f"up to block {heights[0]}" + (f", the longest to {heights[-1]}" if heights[0] != heights[-1] else "")
    forks = compare_chains({f"replica {i}": one.report.hashes for i, one in audited.items()})
    bound = bound_ms(home.config.protocol, group, course, measured.load.timeout_s)
    late = unanswered(measured, bound, course.stopped if course else ())
    slowest = slowest_ms(measured)
    convicted = {evidence.replica for one in audited.values() for evidence in one.evidence}
    slandered = check_convicted(convicted, honest=honest, group=group, is_forked=bool(forks))
    return Verdict(
        findings={
            "agreement": Finding.of(forks, f"{len(audited)} identical ledgers {reach}"),
            **_on_ledgers(home.genesis, audited, kept),
            "progress": Finding.of(
                late,
                f"every transaction was answered, the slowest after {slowest / 1_000:.2f} s of {bound / 1_000:.2f} s",
            ),
            "guilt": Finding.of(slandered, "no honest replica is convicted"),
        },
        evidence=_kept(audited),
        acknowledged=len({one.acknowledged.tx_id for one in kept}),
        slowest_ms=slowest,
        bound_ms=bound,
    )


def _on_ledgers(
    genesis: Genesis, audited: Mapping[ReplicaId, Audited], kept: Sequence[receipts.Kept]
) -> dict[str, Finding]:
    """What stores hold, and whether that is what clients saw. What needs only one ledger looks at the longest."""
    reader = Ledgers(genesis.genesis_hash)
    ledgers = {i: reader.read(one.blocks) for i, one in audited.items()}
    longest = max(ledgers, key=lambda i: len(ledgers[i].encoded))
    durability = Durability()
    for one in kept:
        durability.add(one.acknowledged)
    lost = durability.violations({i: ledger.held for i, ledger in ledgers.items()}, holders=genesis.group.weak_quorum)
    problems = [str(problem) for one in audited.values() for problem in one.report.problems]
    machine, verifier = load_machine(genesis.app, genesis.app_params), RememberingVerifier(Ed25519Verifier())
    unsound = check_chain(longest, ledgers[longest].encoded, genesis, machine, verifier)
    sound = f"{len(audited)} stores are sound, executed anew, and blocks hold only what they may"
    operations = ledgers[longest].operations
    history = list(_history(kept, operations))
    unexplained = check_witness(history, operations)
    return {
        "durability": Finding.of(lost, f"{len(durability):,} acknowledged transactions stand where receipts say"),
        "integrity": Finding(ok=False, text=problems[0]) if problems else Finding.of(unsound, sound),
        "witness": Finding.of(unexplained, f"{len(history):,} operations stand in the order in which clients saw them"),
    }


def _audit_all(home: Home, replicas: Sequence[ReplicaId]) -> list[Audited]:
    workers = min(len(replicas), len(os.sched_getaffinity(0)))
    if workers == 1:
        return [_audit(home.path, i) for i in replicas]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_audit, [home.path] * len(replicas), replicas))


def _audit(home_path: Path, replica: ReplicaId) -> Audited:
    """Runs in a process of its own."""
    home = Home.open(home_path)
    genesis, path, verifier = home.genesis, home.ledger_path(replica), Ed25519Verifier()
    report = audit_store(path, genesis, verifier, load_machine(genesis.app, genesis.app_params), replica)
    return Audited(
        report=report,
        blocks=_blocks(path),
        evidence=tuple(read_evidence(path, genesis.group, verifier)),
    )


def _blocks(path: Path) -> tuple[bytes, ...]:
    with ExitStack() as stack:
        db = stack.enter_context(snapshot(path, is_running=False))
        return tuple(block for (block,) in db.execute("SELECT block FROM blocks ORDER BY height"))


def _history(kept: Iterable[receipts.Kept], ledger: Ledger) -> Iterator[Operation]:
    """What clients did and saw, as far as receipts say: each operation at its place, which `durability` judges, with
    its result, which the receipt proves. Of a batch nothing is known."""
    for told, begun, done in kept:
        block = ledger[told.height] if told.height < len(ledger) else ()
        entry = block[told.index] if told.index < len(block) else None
        if entry is not None:
            yield replace(entry, id=told.tx_id, invoked=round(begun * 1e6), returned=round(done * 1e6))


def _kept(audited: Mapping[ReplicaId, Audited]) -> list[dict[str, Any]]:
    """A row for each replica and rule, with who keeps such a proof."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for keeper, one in audited.items():
        for evidence in _sorted(one.evidence):
            row: dict[str, Any] = {
                "replica": evidence.replica,
                "rule": evidence.rule.value,
                "what": str(evidence),
                "kept_by": [],
            }
            found.setdefault((evidence.replica, evidence.rule.value), row)["kept_by"].append(keeper)
    return [row for _, row in sorted(found.items(), key=itemgetter(0))]


def _sorted(evidence: Iterable[Evidence]) -> list[Evidence]:
    return sorted(evidence, key=lambda one: (one.replica, one.rule.value))
