"""`evidence list`, `show`, `export`, `verify`: what convicts a replica, and how anyone checks it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.cli import output
from bftledger.cli.audit import stores_of
from bftledger.cli.options import NO_HOME, GenesisOption, HomeOption, JsonOption, examples
from bftledger.cli.receipts import genesis_for, read_genesis
from bftledger.home.files import read_public, write_public
from bftledger.home.home import Home
from bftledger.pbft import wire
from bftledger.pbft.evidence import MAX_FILE_BYTES, Evidence, encode_file, verify_file
from bftledger.pbft.guilt import Signed
from bftledger.pbft.messages import Checkpoint, NewView, ViewChange
from bftledger.storage.snapshot import read_evidence

app = typer.Typer()

_Stores = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[STORE]...", help="Data directories, or their ledger.db.  [default: all of the home]"),
]
_Accused = Annotated[
    list[int] | None, typer.Argument(metavar="[REPLICA]...", help="Only what is against these.  [default: all]")
]


@dataclass(slots=True)
class Kept:
    """A piece of evidence, and the stores that have one by the same rule against the same replica."""

    evidence: Evidence
    stores: list[str] = field(default_factory=list)


@app.callback(invoke_without_command=True)
def _evidence(context: typer.Context) -> None:
    """Proof that a replica is faulty: two messages that no correct one signs."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(output.USAGE)


@app.command(
    "list",
    epilog=examples(
        "bftledger evidence list",
        "bftledger evidence list --json | jq '.[].replica'",
        "bftledger evidence list backup/replica-0 backup/replica-1/ledger.db",
    ),
    short_help="Lists what convicts a replica.",
)
def list_evidence(stores: _Stores = None, home: HomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Lists the evidence that the replicas keep, each piece checked.

    A replica that is listed signed what no correct one does: its program was tampered with, its key is in other hands,
    or its store was replaced by an older one. One that is not listed may be faulty nevertheless.
    """
    found = _collect(Home.open(home), stores)
    if json:
        output.emit([{**_described(kept.evidence), "stores": kept.stores} for kept in found])
        return
    if not found:
        output.say("no evidence against any replica", output.GOOD)
        return
    rows = [(kept.evidence.replica, kept.evidence.rule.value, ", ".join(kept.stores)) for kept in found]
    output.table(("replica", "rule", "kept by"), rows)
    for kept in found:
        output.paragraph(f"{kept.evidence}: no correct replica does", output.BAD, indent=2)


@app.command(epilog=examples("bftledger evidence show 3"), short_help="Shows the messages themselves.")
def show(replicas: _Accused = None, home: HomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Shows the two messages of each piece of evidence, with their signatures."""
    found = [kept.evidence for kept in _collect(Home.open(home), None)]
    wanted = _against(found, replicas)
    if json:
        output.emit([_described(evidence) for evidence in wanted])
        return
    for evidence in wanted:
        output.paragraph(f"{evidence}: no correct replica does", output.BAD, indent=2)
        for signed in (evidence.first, evidence.second):
            said = _message(signed)
            output.fields({name: value for name, value in said.items() if name != "kind"}, head=f"  {said['kind']}")


@app.command(
    epilog=examples("bftledger evidence export -o evidence.cbor", "bftledger evidence export 3 -o replica-3.cbor"),
    short_help="Writes it to a file that anyone can check.",
)
def export(
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it; - is standard output.", show_default=False
        ),
    ],
    replicas: _Accused = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Writes evidence to a file. Whoever has the group's genesis can check it: bftledger evidence verify."""
    if json and str(out) == "-":
        raise output.Misused("--json and the evidence cannot both have standard output: name a file with -o")
    wanted = _against([kept.evidence for kept in _collect(Home.open(home), None)], replicas)
    if not wanted:
        raise output.NotDone("there is no evidence to export")
    data = encode_file(wanted)
    if str(out) == "-":
        typer.echo(data, nl=False)
        return
    write_public(out, data, replace=True)
    if json:
        output.emit({"file": str(out.absolute()), "pieces": len(wanted)})
    else:
        output.say(f"{output.plural(len(wanted), 'piece')} of evidence written to {out}", output.GOOD)


@app.command(
    epilog=examples(
        "bftledger evidence verify evidence.cbor",
        "bftledger evidence verify evidence.cbor --genesis genesis.json",
    ),
    short_help="Checks a file of evidence, offline.",
)
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The evidence.", show_default=False)],
    genesis: GenesisOption = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Checks evidence offline: no replica is asked, no network is needed.

    All it needs is the group's genesis, which says whose signatures they are.
    """
    data = read_public(file, MAX_FILE_BYTES)
    path = genesis or genesis_for(file, home)
    group = read_genesis(path).group
    try:
        found = verify_file(data, group, Ed25519Verifier())
    except (Malformed, BadProof, BadSignature) as error:
        if json:
            output.emit({"valid": False, "file": str(file), "genesis_file": str(path), "reason": str(error)})
        raise output.NotDone(f"{file}: convicts nobody in the group of {output.pretty(path)}: {error}") from None
    if json:
        pieces = [_described(evidence) for evidence in found]
        output.emit({"valid": True, "file": str(file), "genesis_file": str(path), "evidence": pieces})
        return
    for evidence in found:
        output.paragraph(f"proven: {evidence}: no correct replica does", output.BAD, indent=2)


def _collect(home: Home, stores: Sequence[Path] | None) -> list[Kept]:
    """What the stores keep: one piece for each replica and rule, and where there is one."""
    named = [(path / "ledger.db" if path.is_dir() else path, None) for path in stores] if stores else stores_of(home)
    found: dict[tuple[int, str], Kept] = {}
    for path, owner in named:
        where = output.pretty(path) if owner is None else f"replica {owner}"
        for evidence in read_evidence(path, home.genesis.group, Ed25519Verifier()):
            found.setdefault((evidence.replica, evidence.rule.value), Kept(evidence)).stores.append(where)
    return [kept for _, kept in sorted(found.items(), key=lambda item: item[0])]


def _against(found: Iterable[Evidence], replicas: Sequence[int] | None) -> list[Evidence]:
    wanted = [evidence for evidence in found if not replicas or evidence.replica in replicas]
    for replica in replicas or ():
        if all(evidence.replica != replica for evidence in wanted):
            raise output.NotDone(f"there is no evidence against replica {replica}")
    return wanted


def _described(evidence: Evidence) -> dict[str, Any]:
    return {
        "replica": evidence.replica,
        "rule": evidence.rule.value,
        "what": str(evidence),
        "messages": [_message(evidence.first), _message(evidence.second)],
    }


def _message(signed: Signed) -> dict[str, Any]:
    """A message in its essence, for people and for programs."""
    said: dict[str, Any] = {"kind": wire.name_of(signed)}
    match signed:
        case Checkpoint():
            said |= {"seq": signed.seq, "block": signed.block_hash.hex()}
        case ViewChange():
            shown = [f"{p.pre_prepare.seq} in view {p.pre_prepare.view}" for p in signed.prepared]
            said |= {"view": signed.view, "stable": signed.stable_seq, "prepared": ", ".join(shown) or "nothing"}
        case NewView():
            signers = ", ".join(str(change.replica) for change in signed.view_changes)
            said |= {"view": signed.view, "view_changes_of": signers, "proposals": len(signed.pre_prepares)}
        case _:
            said |= {"view": signed.view, "seq": signed.seq, "digest": signed.digest.hex()}
    return {**said, "signature": signed.signature.hex()}
