"""`submit`: signs transactions and waits for what becomes of them."""

import asyncio
import os
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bftledger.base.errors import OperatorError
from bftledger.cli import describe, output
from bftledger.cli.keys import choose, passphrase_of
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, KeyOption, TimeoutOption, examples
from bftledger.cli.receipts import write_receipt
from bftledger.home.home import Home
from bftledger.ledger.outcome import Outcome, State

if TYPE_CHECKING:
    from bftledger.client import AsyncClient

IN_FLIGHT: Final = 64
"""Of many transactions so many wait for their blocks at once."""

MAX_LINE_BYTES: Final = 1024 * 1024


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger submit put color blue",
            "bftledger submit --key alice cas color 1 green",
            "bftledger submit --receipt r.cbor -- put balance -5",
            "bftledger submit - < operations.txt     one per line, quoted as in a shell",
            "bftledger submit put a 1 --json | jq -r .tx",
        ),
        short_help="Signs and submits transactions.",
    )(submit)


def submit(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORDS",
            help="The operation in the application's words; - reads many from standard input.",
            show_default=False,
        ),
    ],
    key: KeyOption = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt to this file.")
    ] = None,
    timeout: TimeoutOption = 10.0,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Signs a transaction, submits it and waits until a quorum of replicas has signed its block.

    Fails if it was rejected, and with status 3 if its fate is not known yet: then ask with bftledger tx ID.
    The application kv takes: put KEY VALUE, delete KEY, cas KEY VERSION VALUE, or batch and several of these.
    The application accounts takes: mint ACCOUNT AMOUNT, transfer ACCOUNT AMOUNT.
    """
    from bftledger.client import AsyncClient  # noqa: PLC0415

    opened = Home.open(home)
    many = words == ["-"]
    if many and receipt is not None:
        raise output.Misused("--receipt is for one transaction: get those of many with bftledger receipt ID")
    signing_key = choose(opened, key)
    if not many:
        describe.machine_of(opened.genesis).parse(words)  # before a passphrase is asked for
    client = AsyncClient.open(opened, signing_key.name, passphrase=passphrase_of(signing_key), timeout=timeout)
    if many:
        asyncio.run(_submit_many(client, json=json))
        return
    found = asyncio.run(_submit_one(client, words))
    if receipt is not None and found.receipt is not None:
        write_receipt(receipt, found.receipt)
    _show(found, describe.Words(opened.genesis), receipt, json=json)
    _require(found)


async def _submit_one(client: "AsyncClient", words: list[str]) -> Outcome:
    transaction = client.make_transaction(*words)
    try:
        async with client:
            return await client.submit_transaction(transaction)
    except asyncio.CancelledError:
        output.note(f"transaction {transaction.id.hex()} may still be ordered: ask with bftledger tx")
        raise


def _show(found: Outcome, words: describe.Words, file: Path | None, *, json: bool) -> None:
    if json:
        output.emit(describe.outcome(found, words))
    elif found.ok and found.receipt is not None:
        fields = describe.receipt_fields(found.receipt, words)
        del fields["sender"]  # is whoever reads this
        output.fields({**fields, "receipt": file}, head="committed", style=output.GOOD)


def _require(found: Outcome) -> None:
    if not found.ok:
        raise output.NotDone(str(found), output.NOT_DONE if found.final else output.UNDECIDED)


async def _submit_many(client: "AsyncClient", *, json: bool) -> None:
    """Submits the lines of standard input, and shows their outcomes in the same order."""
    words = describe.Words(client.genesis)
    counts: Counter[State] = Counter()
    waiting: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue(IN_FLIGHT)
    async with client:
        reader = asyncio.create_task(_begin_all(client, waiting))
        with output.JsonList() if json else nullcontext() as items:
            while (task := await waiting.get()) is not None:
                found = await task
                counts[found.state] += 1
                if items is not None:
                    items.add(describe.outcome(found, words))
                else:
                    _show_line(found, words)
        summary = ", ".join(f"{count:,} {state.value}" for state, count in counts.items()) or "nothing to submit"
        try:
            await reader
        except OperatorError as error:
            raise OperatorError(f"{error} ({summary} before it)") from None
    if any(state is not State.COMMITTED for state in counts):
        final = all(state.final for state in counts)
        raise output.NotDone(summary, output.NOT_DONE if final else output.UNDECIDED)
    output.note(summary)


def _show_line(found: Outcome, words: describe.Words) -> None:
    if found.receipt is None:
        output.say(str(found), output.DOUBTFUL)
        return
    result = words.result(found.receipt.result)
    line = f"{found.state.value}  {found.tx_id.hex()}  block {found.height}  {result}"
    output.say(line, "" if found.ok else output.BAD)
    sys.stdout.flush()


async def _begin_all(client: "AsyncClient", waiting: "asyncio.Queue[asyncio.Task[Outcome] | None]") -> None:
    """Submits each line as it comes; ends with None. Raises `OperatorError` at the first that is not understood."""
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(IN_FLIGHT)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in chain(_lines(sys.stdin.fileno()), [None]):
            putting = lines.put(line)
            try:
                asyncio.run_coroutine_threadsafe(putting, loop).result()
            except (RuntimeError, CancelledError):  # the loop has ended, or ends: nobody is left to take it
                putting.close()
                return

    # A daemon: reading from a terminal cannot be interrupted, and Ctrl-C should not wait for another line.
    threading.Thread(target=read, daemon=True).start()
    number = 0
    try:
        while (line := await lines.get()) is not None:
            number += 1
            try:
                operation = shlex.split(line.decode("utf-8", "surrogateescape"), comments=True)
                if operation:
                    transaction = client.make_transaction(*operation)
                    await waiting.put(asyncio.create_task(client.submit_transaction(transaction)))
            except (ValueError, OperatorError) as error:
                raise OperatorError(f"line {number}: {error}") from None
    finally:
        await waiting.put(None)


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines as they come, each as soon as it is whole. Not through `sys.stdin`, whose lock a daemon must not hold."""
    rest = b""
    while chunk := os.read(descriptor, 65_536):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            break  # no operation is as long: it will not be understood
    if rest:
        yield rest
