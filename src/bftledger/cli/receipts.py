"""`receipt` and `verify`: a file that proves what became of a transaction, and how anyone checks it."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed, OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import TxId
from bftledger.cli import describe, output
from bftledger.cli.options import NO_HOME, GenesisOption, HomeOption, JsonOption, TimeoutOption, examples
from bftledger.home.files import present, read_public, write_public
from bftledger.home.home import Home
from bftledger.ledger.receipt import MAX_RECEIPT_BYTES, Receipt, verify_receipt


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog=examples("bftledger receipt 0193c5...e0 -o r.cbor", "bftledger receipt 0193c5...e0 -o - | sha256sum"),
        short_help="Fetches a transaction's receipt.",
    )(receipt)
    app.command(
        epilog=examples(
            "bftledger verify r.cbor",
            "bftledger verify r.cbor --genesis genesis.json",
            "bftledger verify r.cbor --json | jq .signers",
        ),
        short_help="Checks a receipt, offline.",
    )(verify)


def receipt(
    tx: Annotated[str, typer.Argument(metavar="ID", help="The transaction's id.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it; - is standard output.", show_default=False
        ),
    ],
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Fetches the receipt of a transaction: a file that proves what became of it.

    It is checked before it is written. A file of that name is replaced.
    """
    if json and str(out) == "-":
        raise output.Misused("--json and the receipt cannot both have standard output: name a file with -o")
    opened = Home.open(home)
    found = asyncio.run(_fetch(opened, describe.parse_tx_id(tx), timeout))
    if str(out) == "-":
        typer.echo(found.encode(), nl=False)
        return
    write_receipt(out, found)
    words = describe.Words(opened.genesis)
    if json:
        output.emit({"file": str(out.absolute()), **describe.receipt(found, words)})
    else:
        output.fields(describe.receipt_fields(found, words), head=f"receipt written to {out}", style=output.GOOD)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt.", show_default=False)],
    genesis: GenesisOption = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Checks a receipt offline: no replica is asked, no network is needed.

    All it needs is the group's genesis, which must come from someone you trust: it says whose signatures count.
    """
    data = read_public(file, MAX_RECEIPT_BYTES)
    path = genesis or genesis_for(file, home)
    found = read_genesis(path)
    try:
        proof = verify_receipt(data, found, Ed25519Verifier())
    except (Malformed, BadProof, BadSignature) as error:
        if json:
            output.emit({"valid": False, "file": str(file), "genesis_file": str(path), "reason": str(error)})
        raise output.NotDone(f"{file}: proves nothing to the group of {output.pretty(path)}: {error}") from None
    words = describe.Words(found)
    if json:
        described = describe.receipt(proof, words)
        output.emit({"valid": True, "file": str(file), "genesis_file": str(path), **described})
        return
    signed = len(proof.certificate.signatures)
    output.fields(
        {
            **describe.receipt_fields(proof, words),
            "group": f"{found.name}, {signed} of its {found.group.n} replicas signed ({output.pretty(path)})",
        },
        head=f"valid: {'committed' if proof.result.ok else 'rejected, without effect'}",
        style=output.GOOD,
    )


def write_receipt(path: Path, found: Receipt) -> None:
    """Writes a receipt's file. Raises `OperatorError`."""
    write_public(path, found.encode(), replace=True)


async def _fetch(home: Home, tx: TxId, timeout: float) -> Receipt:
    from bftledger.client import AsyncClient  # noqa: PLC0415

    async with AsyncClient.open(home) as client:
        return await client.receipt(tx, timeout=timeout)


def genesis_for(file: Path, home: Path) -> Path:
    """The genesis that a proof is checked against when none is named. Raises `OperatorError` if there is none."""
    beside = file.parent / "genesis.json"
    if present(beside):
        return beside
    if Home(home).exists:
        return Home(home).genesis_path
    raise OperatorError(f"there is no genesis.json beside {file}, and no home: name the group's with --genesis FILE")


def read_genesis(path: Path) -> Genesis:
    """The genesis in a file. Raises `OperatorError`."""
    try:
        return Genesis.from_json(read_public(path))
    except OperatorError as error:
        text = str(error)
        raise OperatorError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None
