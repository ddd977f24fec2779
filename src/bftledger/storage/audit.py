"""The audit of a store: every row of every table against the genesis, the signatures and the blocks themselves.

It only reads. On a running replica's store it reads one snapshot, the state after some commit, while the replica goes
on (whose log cannot be cut back meanwhile). On a stopped one's it holds the lock, shared with other audits, so
that no replica starts on the files under it; neither the database nor its log is altered.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Verifier
from bftledger.base.errors import StoreError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId
from bftledger.storage import database, files, schema, wal
from bftledger.storage.audit_ledger import LedgerAudit
from bftledger.storage.audit_votes import VotesAudit
from bftledger.storage.report import AuditReport, Findings, Problem
from bftledger.storage.snapshot import hold_still, snapshot

__all__ = ["AuditReport", "Problem", "audit_store"]

_LISTED: Final = 10
"""At most so many places of structural damage are listed."""


def audit_store(
    path: Path, genesis: Genesis, verifier: Verifier, machine: StateMachine, replica: ReplicaId | None = None
) -> AuditReport:
    """Everything that is wrong with the store in the file `path`, and what it holds.

    `machine`: the application that the genesis names. `replica`: whose store it should be, if that is known. What is
    wrong with the file is in the report; raises `StoreError` only if there is no such file.
    """
    findings = Findings(path)
    with contextlib.ExitStack() as stack:
        try:
            is_running = not hold_still(path, stack)
            files.require_database(path)
            if not is_running:
                _note_error(findings, lambda: wal.require_sound(path))
            db = stack.enter_context(snapshot(path, is_running))
        except database.SQL_ERRORS as error:
            findings.add("file", "", database.reason(error))
        except StoreError as error:
            if not path.is_file():
                raise
            _add_error(findings, error)
        else:
            return _audit(db, findings, genesis, verifier, machine, replica)
    return _report(findings, None, None, None)


def _audit(
    db: sqlite3.Connection,
    findings: Findings,
    genesis: Genesis,
    verifier: Verifier,
    machine: StateMachine,
    replica: ReplicaId | None,
) -> AuditReport:
    if not _check(findings, "file", lambda: database.require_format(db, findings.file)):
        return _report(findings, None, None, None)
    _check(findings, "file", lambda: _check_structure(db, findings))
    _check(findings, "file", lambda: database.require_schema(db, findings.file))
    owner: list[int] = []
    _check(findings, "meta", lambda: owner.extend(_check_owner(db, findings, genesis, replica)))
    ledger = LedgerAudit(db, findings, genesis, verifier, machine)
    votes = VotesAudit(db, findings, genesis.group, verifier, owner[0] if owner else None)
    _check(findings, "blocks", ledger.check_blocks)
    _check(findings, "transactions", ledger.check_index)
    _check(findings, "history", ledger.check_history)
    _check(findings, "state", ledger.check_state)
    _check(findings, "certificates", lambda: votes.check_certificates(ledger.hashes))
    _check(findings, "decisions", votes.check_decisions)
    _check(findings, "votes", votes.check_votes)
    _check(findings, "proposals", votes.check_proposals)
    _check(findings, "evidence", votes.check_evidence)
    return _report(findings, owner[0] if owner else None, ledger, votes)


def _report(
    findings: Findings, replica: int | None, ledger: LedgerAudit | None, votes: VotesAudit | None
) -> AuditReport:
    return AuditReport(
        file=findings.file,
        replica=replica,
        hashes=tuple(ledger.hashes) if ledger else (),
        transactions=ledger.transactions if ledger else 0,
        certificates=votes.certificates if votes else 0,
        votes=votes.votes if votes else 0,
        evidence=votes.evidence if votes else 0,
        problems=tuple(findings.problems),
        unlisted=findings.unlisted,
    )


# ── the file ──


def _check_structure(db: sqlite3.Connection, findings: Findings) -> None:
    try:
        found = [line for (text,) in db.execute(f"PRAGMA integrity_check({_LISTED})") for line in text.splitlines()]
    except database.SQL_ERRORS as error:  # so badly damaged that SQLite cannot even say where
        found = [str(error)]
    for line in found:
        if line != "ok":
            findings.add("file", "", f"SQLite finds damage: {line}")


def _check_owner(
    db: sqlite3.Connection, findings: Findings, genesis: Genesis, replica: ReplicaId | None
) -> Iterator[int]:
    """Notes what is wrong in the table meta; yields whose store it is if it says so."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    if meta.get(schema.GENESIS_HASH) != genesis.genesis_hash:
        findings.add("meta", schema.GENESIS_HASH, f"is not that of this group, {genesis.genesis_hash.hex()}")
    owner = meta.get(schema.REPLICA)
    if type(owner) is not int or not 0 <= owner < genesis.group.n:
        findings.add("meta", schema.REPLICA, f"{owner!r} is not a replica of this group")
    elif replica is not None and owner != replica:
        findings.add("meta", schema.REPLICA, f"is {owner}, but this is the store of replica {replica}")
    else:
        yield owner
    for name in sorted(str(name) for name in meta.keys() - {schema.GENESIS_HASH, schema.REPLICA}):
        findings.add("meta", name, "is no row of this format")


def _check(findings: Findings, table: str, check: Callable[[], None]) -> bool:
    """Runs a check of one table; a table that SQLite cannot read is a problem like any other."""
    try:
        return _note_error(findings, check)
    except (*database.SQL_ERRORS, OverflowError) as error:
        findings.add(table, "", f"cannot be read: {error}")
        return False


def _note_error(findings: Findings, check: Callable[[], None]) -> bool:
    try:
        check()
    except StoreError as error:
        _add_error(findings, error)
        return False
    return True


def _add_error(findings: Findings, error: StoreError) -> None:
    findings.add("file", "", str(error).removeprefix(f"{findings.file}: "))
