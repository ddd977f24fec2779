"""The verdict on a run under attack: the oracles of `check` on what honest replicas store and clients hold."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Any

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.ids import Digest, ReplicaId, TxId
from bftledger.bench import receipts
from bftledger.bench.attack_bound import Course, bound_ms, slowest_ms, unanswered
from bftledger.bench.measured import Measured
from bftledger.check.agreement import compare_chains
from bftledger.check.durability import Durability, Held
from bftledger.check.evidence import check_convicted
from bftledger.check.violation import Violation
from bftledger.home.home import Home
from bftledger.pbft.evidence import Evidence
from bftledger.storage.audit import AuditReport, audit_store
from bftledger.storage.snapshot import read_evidence, snapshot


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One honest replica's store: what the audit found, its blocks, and the evidence in it."""

    report: AuditReport
    chain: tuple[Held, ...]
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
    durability = Durability()
    for acknowledgement in receipts.read(receipt_files):
        durability.add(acknowledgement)
    reports = [one.report for one in audited.values()]
    chains = {f"replica {i}": one.report.hashes for i, one in audited.items()}
    heights = sorted(len(one.chain) - 1 for one in audited.values())
    forks = compare_chains(chains)
    lost = durability.violations({i: one.chain for i, one in audited.items()}, holders=group.weak_quorum)
    problems = [str(problem) for report in reports for problem in report.problems]
    bound = bound_ms(home.config.protocol, group, course, measured.load.timeout_s)
    late = unanswered(measured, bound, course.stopped if course else ())
    slowest = slowest_ms(measured)
    convicted = {evidence.replica for one in audited.values() for evidence in one.evidence}
    slandered = check_convicted(convicted, honest=honest, group=group, is_forked=bool(forks))
    reach = f"up to block {heights[0]}" + (f", the longest to {heights[-1]}" if heights[0] != heights[-1] else "")
    return Verdict(
        findings={
            "agreement": Finding.of(forks, f"{len(audited)} identical ledgers {reach}"),
            "durability": Finding.of(lost, f"{len(durability):,} acknowledged transactions stand where receipts say"),
            "integrity": Finding(
                ok=not problems, text=problems[0] if problems else f"{len(reports)} stores are sound, executed anew"
            ),
            "progress": Finding.of(
                late,
                f"every transaction was answered, the slowest after {slowest / 1_000:.2f} s of {bound / 1_000:.2f} s",
            ),
            "guilt": Finding.of(slandered, "no honest replica is convicted"),
        },
        evidence=_kept(audited),
        acknowledged=len(durability),
        slowest_ms=slowest,
        bound_ms=bound,
    )


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
        chain=tuple(_chain(path, report.hashes)),
        evidence=tuple(read_evidence(path, genesis.group, verifier)),
    )


def _chain(path: Path, hashes: Sequence[Digest | None]) -> list[Held]:
    """The blocks, from the index of transactions, which the audit has compared with them."""
    with ExitStack() as stack:
        db = stack.enter_context(snapshot(path, is_running=False))
        rows = db.execute("SELECT height, id FROM transactions ORDER BY height, position").fetchall()
    within = {height: tuple(TxId(tx_id) for _, tx_id in some) for height, some in groupby(rows, itemgetter(0))}
    return [Held(block_hash or Digest(b""), within.get(height, ())) for height, block_hash in enumerate(hashes)]


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
