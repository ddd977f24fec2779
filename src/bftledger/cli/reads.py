"""`get`, `tx`, `block`, `blocks`: what the ledger says, and how it is known."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from bftledger.apps.machine import Result
from bftledger.base.genesis import Genesis
from bftledger.base.transaction import decode as decode_transaction
from bftledger.cli import describe, output
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, TimeoutOption, examples
from bftledger.home.home import Home
from bftledger.ledger.block import Block
from bftledger.ledger.outcome import State

if TYPE_CHECKING:
    from bftledger.client import AsyncClient, Reading

T = TypeVar("T")


Read = Literal["certified", "linearizable", "local"]
"""How much a read is worth; the client's words."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    get_epilog = examples(
        "bftledger get color",
        "bftledger get color --read linearizable",
        "bftledger get color --json | jq -r .result.value",
        "bftledger get total                    (application accounts)",
    )
    app.command("get", epilog=get_epilog, short_help="Reads the state, with proof.")(get)
    app.command("query", epilog=get_epilog, hidden=True)(get)
    app.command(
        epilog=examples("bftledger tx 0193c5...e0", "bftledger tx 0193c5...e0 --json | jq -r .state"),
        short_help="Shows what became of a transaction.",
    )(tx)
    app.command(epilog=examples("bftledger block 7", "bftledger block 7 --json | jq '.transactions[].operation'"))(
        block
    )
    app.command(
        epilog=examples("bftledger blocks", "bftledger blocks --count 100 --json"),
        short_help="Shows the newest blocks.",
    )(blocks)


def get(
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORDS", help="The question in the application's words.", show_default=False),
    ],
    read: Annotated[
        Read,
        typer.Option(
            "--read",
            help="certified: proven, as of a block that is named. linearizable: also no older than anything "
            "acknowledged before. local: what one replica says.",
        ),
    ] = "certified",
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Reads the application's state, with proof. (Also called query.)

    That there is nothing is an answer, too, and proven like any other.
    """

    async def ask(client: "AsyncClient") -> tuple["Reading", dict[str, Any]]:
        reading = await client.query(*words, read=read, timeout=timeout)
        return reading, client.show(reading)

    reading, shown = _ask(Home.open(home), ask)
    proof = reading.proof
    signers = [int(replica) for replica, _ in proof.certificate.signatures] if proof else []
    if json:
        output.emit(
            {
                "result": shown,
                "read": read,
                "as_of_height": reading.height,
                "as_of_ms": proof.header.time if proof else None,
                "signers": signers,
                "replica": int(reading.replica),
            }
        )
        return
    if proof:
        known = {
            "as of": f"block {reading.height}, {output.when(proof.header.time)}",
            "signed by": f"replicas {', '.join(map(str, signers))}",
        }
    else:
        known = {"as of": f"block {reading.height}", "said by": f"replica {reading.replica}, without proof"}
    output.fields({**shown, **known})


def tx(
    tx_id: Annotated[str, typer.Argument(metavar="ID", help="The transaction's id.", show_default=False)],
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Shows what became of a transaction, anybody's.

    Fails if no replica knows it, and with status 3 if its fate is not decided or cannot be found out now.
    """
    opened = Home.open(home)
    wanted = describe.parse_tx_id(tx_id)

    found = _ask(opened, lambda client: client.fate(wanted, timeout=timeout))
    words = describe.Words(opened.genesis)
    if json:
        output.emit(describe.outcome(found, words))
    elif found.receipt is not None:
        style = output.GOOD if found.ok else output.BAD
        output.fields(describe.receipt_fields(found.receipt, words), head=found.state.value, style=style)
    elif found.final:
        output.say(str(found), output.BAD)
    if not found.final:
        raise output.NotDone(str(found), output.NOT_DONE if found.state is State.UNKNOWN else output.UNDECIDED)


def block(
    height: Annotated[
        int, typer.Argument(metavar="H", min=0, help="Its height; 0 is the genesis.", show_default=False)
    ],
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Shows a block and its transactions."""
    opened = Home.open(home)
    found = _ask(opened, lambda client: client.block(height, timeout=timeout))
    header = found.header
    entries = _transactions(found, opened.genesis)
    if json:
        output.emit({**describe.header(header), "transactions": entries})
        return
    output.fields(
        {
            "time": output.when(header.time),
            "hash": header.hash,
            "previous": header.previous,
            "state root": header.state_root,
        },
        head=f"block {header.height}: {output.plural(header.count, 'transaction')}",
    )
    rows = [
        (i, e["operation"], e["result"] if e["state"] == "committed" else e["reason"], e["tx"])
        for i, e in enumerate(entries)
    ]
    output.table(("#", "operation", "result", "id"), rows)


def blocks(
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, max=256, help="How many.")] = 10,
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Shows the newest blocks, the newest first."""
    headers = _ask(Home.open(home), lambda client: client.blocks(count, timeout=timeout))
    if json:
        output.emit([describe.header(header) for header in headers])
    else:
        rows = [(header.height, output.when(header.time), header.count, header.hash) for header in headers]
        output.table(("height", "time", "transactions", "hash"), rows)


def _ask(home: Home, question: "Callable[[AsyncClient], Coroutine[Any, Any, T]]") -> T:
    from bftledger.client import AsyncClient  # noqa: PLC0415

    async def run() -> T:
        async with AsyncClient.open(home) as client:
            return await question(client)

    return asyncio.run(run())


def _transactions(found: Block, genesis: Genesis) -> list[dict[str, Any]]:
    words = describe.Words(genesis)
    return [
        describe.transaction(decode_transaction(data, genesis.genesis_hash), Result.decode(result), words)
        for data, result in zip(found.transactions, found.results, strict=True)
    ]
