"""`bftledger-adversary`: runs a replica that lies, and says in which ways one can.

An entry point of its own, so that nothing of it is at hand where `bftledger` runs a replica. A traitor is started with
the keys of the replica it takes the place of, and holds no others: what it cannot sign it cannot say.
"""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from bftledger.adversary.behaviour import Choice
from bftledger.adversary.byzantine import Byzantine
from bftledger.adversary.catalogue import Described, describe, parse
from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.cli import output
from bftledger.cli.main import USAGE, prepare_streams, run_app
from bftledger.cli.options import NO_HOME, GlobalHomeOption, HomeOption, JsonOption, examples
from bftledger.engine.engine import Engine
from bftledger.home.home import Home

NAME = "bftledger-adversary"
TABLE_WIDTH = 72
"""Columns of a terminal below which sentences in three columns are not readable."""

app = typer.Typer(
    name=NAME,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        f"{NAME} list",
        f"{NAME} show double-vote",
        f"{NAME} --home G replica --id 0 --behaviour equivocate",
        f"{NAME} --home G replica --id 2 -b mute:commit -b stutter",
    ),
)


@app.callback(invoke_without_command=True)
def _adversary(context: typer.Context, home: GlobalHomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Replicas that lie, to see what a group makes of it.

    Up to f of n = 3f+1 replicas may do anything, and the ledger neither forks nor stops. Here is what they may do.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@app.command("list", short_help="Lists the ways to misbehave.")
def list_behaviours(json: JsonOption = False) -> None:
    """Lists the ways in which a replica can misbehave, what each does, and what stops it."""
    if json:
        output.emit([_document(entry) for entry in describe()])
        return
    out = Console(highlight=False, markup=False, emoji=False)
    rows = [(f"{entry.name}[:…]" if entry.takes else entry.name, entry.does, entry.stopped_by) for entry in describe()]
    if out.width < TABLE_WIDTH:
        for name, does, stopped_by in rows:
            out.print(name, style=output.STRONG)
            for words in (does, f"What stops it: {stopped_by}"):
                out.print(output.wrapped(f"  {words}", out.width, 2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style=output.QUIET)
    table.add_column("behaviour", no_wrap=True, style=output.STRONG)
    table.add_column("what it does", ratio=1)
    table.add_column("what stops it", ratio=1)
    for row in rows:
        table.add_row(*row)
    out.print(table)


@app.command(short_help="Says all there is to say about one of them.")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The behaviour.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Says what one behaviour does, what it can be told, what stops it, and what a group must show for it."""
    behaviour = _parsed(name).behaviour
    entry = next(entry for entry in describe() if entry.name == behaviour.name)
    if json:
        output.emit(_document(entry))
        return
    output.fields(
        {
            "does": entry.does,
            "argument": entry.takes or None,
            "stopped by": entry.stopped_by,
            "a group shows": entry.shows,
        },
        head=entry.name,
    )


@app.command(
    epilog=examples(
        f"{NAME} --home G replica --id 0 --behaviour equivocate",
        f"{NAME} --home G replica --id 0 -b double-vote --accomplice 1",
        f"{NAME} --home G replica --id 0 -b slow --on-signal",
    ),
    short_help="Runs one replica of a group as a traitor.",
)
def replica(
    id_: Annotated[int, typer.Option("--id", metavar="I", help="Which one, counted from 0.", show_default=False)],
    behaviour: Annotated[
        list[str],
        typer.Option(
            "--behaviour",
            "-b",
            metavar="NAME[:ARG]",
            help="How it misbehaves; with several, each sees what the one before it would say.",
            show_default=False,
        ),
    ],
    accomplice: Annotated[
        list[int] | None,
        typer.Option("--accomplice", metavar="J", help="Another traitor, whose key it holds, too.", show_default=False),
    ] = None,
    on_signal: Annotated[
        bool, typer.Option("--on-signal", help="Honest until SIGUSR1, and again from SIGUSR2 on; as often as you like.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="What it does by chance follows from this.")] = 0,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Stop when standard input ends, as when its writer dies.")
    ] = False,
    home: HomeOption = NO_HOME,
) -> None:
    """Runs one replica of a group as a traitor in the foreground, until SIGTERM or Ctrl-C.

    It takes the place of that replica, with its key and its ledger, and says so. It says when each behaviour first
    makes it lie, and when it stops what it did. Never let it near a group that anybody relies on: it lies.
    """
    from bftledger.node.driver import run_replica  # noqa: PLC0415  (the network, which other commands start without)
    from bftledger.node.presence import Presence  # noqa: PLC0415

    choices = [_parsed(text) for text in behaviour]
    opened = Home.open(home)
    me = opened.check_replica_id(id_)
    together = [opened.check_replica_id(other) for other in accomplice or ()]
    if me in together:
        raise output.Misused(f"--accomplice {me}: that is the replica itself, whose key it has; name another one")
    traitor: list[Byzantine] = []

    def say_first_lie(name: str) -> None:
        output.note(f"replica {me} lies: {name}")

    def wrap(engine: Engine) -> Byzantine:
        signers = {i: opened.secrets(i).signer for i in (me, *together)}
        try:
            lens = Byzantine(
                engine, choices, signers=signers, seed=seed, is_lying=not on_signal, on_first_lie=say_first_lie
            )
            traitor.append(lens)
        except OperatorError as error:  # what follows a colon means something to a replica that runs, or nothing
            raise output.Misused(f"--behaviour {error}") from None
        output.note(_warning(me, choices, together))
        if on_signal:
            _obey_signals(lens)
        return lens

    try:
        with Presence(opened, me):
            status = run_replica(opened, me, exit_with_parent=exit_with_parent, wrap=wrap)
    finally:
        for lens in traitor:
            output.note(f"replica {me} was a traitor; deviations: {_deeds(lens)}")
    raise typer.Exit(status)


def _parsed(text: str) -> Choice:
    try:
        return parse(text)
    except OperatorError as error:
        raise output.Misused(str(error)) from None


def _warning(me: ReplicaId, choices: list[Choice], together: list[ReplicaId]) -> str:
    company = f", with the keys of {', '.join(f'replica {i}' for i in together)}" if together else ""
    return f"replica {me} is a TRAITOR: {', '.join(str(choice) for choice in choices)}{company}"


def _obey_signals(lens: Byzantine) -> None:
    def begin(_: int, __: FrameType | None) -> None:
        lens.begin()
        _say_at_once(f"replica {lens.me} lies from now on")

    def end(_: int, __: FrameType | None) -> None:
        lens.end()
        _say_at_once(f"replica {lens.me} is honest from now on")

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)


def _say_at_once(text: str) -> None:
    """A line on standard error, past its buffer: a signal may come while somebody is writing into that."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


def _deeds(lens: Byzantine) -> str:
    return ", ".join(f"{name} {lens.lies[name]}" for name in sorted(lens.lies)) or "none"


def _document(entry: Described) -> dict[str, Any]:
    return entry._asdict()


def main() -> NoReturn:
    """What the installed command calls."""
    prepare_streams()
    sys.exit(run_app(app, NAME))


if __name__ == "__main__":
    main()
