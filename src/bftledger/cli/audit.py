"""`audit`: checks whole ledgers, byte by byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId
from bftledger.check.agreement import first_difference
from bftledger.check.violation import named, short
from bftledger.cli import output
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, examples
from bftledger.home.home import Home
from bftledger.storage.audit import AuditReport, Problem, audit_store


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger audit",
            "bftledger --home G audit",
            "bftledger --home G audit backup/replica-0 backup/replica-1/ledger.db",
        ),
        short_help="Checks whole ledgers.",
    )(audit)


def audit(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Data directories, or their ledger.db.  [default: all of the home]"),
    ] = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Checks whole ledgers: chain, signatures, certificates, state, votes, index.

    Believes nothing that is stored: executes every block anew, and compares the ledgers with one another. Names each
    thing that is wrong by file, row and height. Changes nothing, and may run beside running replicas.
    """
    opened = Home.open(home)
    reports, problems = audit_stores(opened.genesis, _named(stores) if stores else stores_of(opened))
    if json:
        output.emit(
            {
                "ok": not problems,
                "ledgers": [_described(report) for report in reports],
                "problems": [
                    {"file": str(p.file), "table": p.table, "where": p.where, "height": p.height, "what": p.what}
                    for p in problems
                ],
            }
        )
    else:
        show(reports)
        for problem in problems:
            output.say(str(problem), output.BAD)
    if problems:
        more = sum(report.unlisted for report in reports)
        raise output.NotDone(
            f"{output.plural(len(problems) + more, 'problem')} found" + (f", {more} not listed" if more else "")
        )
    if not json:
        output.say(verdict(reports), output.GOOD)


def stores_of(home: Home) -> list[tuple[Path, ReplicaId | None]]:
    """The ledgers of a home and whose they are. Raises `OperatorError` if there is none."""
    found: list[tuple[Path, ReplicaId | None]] = [
        (home.ledger_path(i), i) for i in home.genesis.group.replicas if home.ledger_path(i).exists()
    ]
    if not found:
        raise OperatorError(
            f"{output.pretty(home.path / 'data')} holds no ledger yet: start the group with bftledger up"
        )
    return found


def audit_stores(
    genesis: Genesis, stores: Sequence[tuple[Path, ReplicaId | None]]
) -> tuple[list[AuditReport], list[Problem]]:
    """A report on each store, and all problems, also those between stores. Raises `StoreError` if one is missing."""
    machine = load_machine(genesis.app, genesis.app_params)
    reports = [audit_store(path, genesis, Ed25519Verifier(), machine, owner) for path, owner in stores]
    problems = [problem for report in reports for problem in report.problems]
    return reports, problems + list(compare(reports))


def compare(reports: Sequence[AuditReport]) -> tuple[Problem, ...]:
    """What is wrong between stores of one group: two of the same replica, or the first height where blocks differ.

    Damaged blocks are left out: the audit of their store has named them.
    """
    problems = []
    owners: dict[int, Path] = {}
    for report in reports:
        if report.replica is not None and owners.setdefault(report.replica, report.file) != report.file:
            what = f"belongs to replica {report.replica}, like {owners[report.replica]}"
            problems.append(Problem(report.file, "meta", "replica", what))
    fork = first_difference({str(report.file): report.hashes for report in reports})
    if fork is not None:
        (reference, known), *others = fork.versions
        for made, holders in others:
            what = f"is block {short(made.block_hash)}, but {short(reference.block_hash)} in {named(known[0])}"
            where = f"height {fork.height}"
            problems += [Problem(Path(str(file)), "blocks", where, what, fork.height) for file in holders]
    return tuple(problems)


def show(reports: Sequence[AuditReport]) -> None:
    """What each ledger holds, as a table."""
    rows = [
        (
            "?" if report.replica is None else report.replica,
            "-" if report.height is None else report.height,
            report.transactions,
            report.certificates,
            report.votes,
            "sound" if report.ok else output.plural(len(report.problems) + report.unlisted, "problem"),
        )
        for report in reports
    ]
    styles = ["" if report.ok else output.BAD for report in reports]
    output.table(("replica", "height", "transactions", "certificates", "votes", "ledger"), rows, styles)


def verdict(reports: Sequence[AuditReport]) -> str:
    """One sentence on ledgers that are all sound."""
    heights = [report.height or 0 for report in reports]
    low, high = min(heights), max(heights)
    if len(reports) == 1:
        return f"sound up to block {high}"
    if low == high:
        return f"{len(reports)} identical ledgers up to block {high}"
    return f"{len(reports)} ledgers, identical up to block {low}; the longest reaches block {high}"


def _named(stores: Sequence[Path]) -> list[tuple[Path, ReplicaId | None]]:
    return [(path / "ledger.db" if path.is_dir() else path, None) for path in stores]


def _described(report: AuditReport) -> dict[str, Any]:
    last = report.hashes[-1] if report.hashes else None
    return {
        "file": str(report.file),
        "replica": report.replica,
        "ok": report.ok,
        "height": report.height,
        "block": last.hex() if last else None,
        "transactions": report.transactions,
        "certificates": report.certificates,
        "votes": report.votes,
        "problems": len(report.problems) + report.unlisted,
    }
