"""`bench`: how fast a group is on this machine, as a block of text for an issue."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bftledger.cli import output
from bftledger.cli.options import JsonOption, examples, home_before_command
from bftledger.home.home import Home


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger bench                   a group of its own",
            "bftledger bench --quick --json    for a machine",
            "bftledger bench --home G --yes    your group, as it runs",
        ),
        short_help="Measures how fast it is here, in two minutes.",
    )(bench)


def bench(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="In some ten seconds: whether it works, not how fast.")
    ] = False,
    replicas: Annotated[
        int | None, typer.Option(metavar="N", min=4, max=31, help="Size of the group that is made.  [default: 4]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Keys and payloads of the clients follow from this.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="With --home: do not ask first.")] = False,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="Measure this group, which has to run.  [default: a temporary one]"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measures how fast a group is on this machine, in two minutes, and prints a summary fit for an issue.

    Waits shortly for a quiet machine, calibrates it, loads the group with 1, 16, 64 and 256 clients and then at a fixed
    rate, all of that twice, reads with proofs, and lets a replica catch up. The group is a temporary one of real
    processes with durable stores. With --home it is yours: all its replicas go on running, and its ledger keeps what
    the clients of the benchmark put there.
    """
    from bftledger.bench import standard  # noqa: PLC0415  (the network, which other commands start without)
    from bftledger.bench.summary import summary  # noqa: PLC0415

    extent = standard.QUICK if quick else standard.STANDARD
    named = home or home_before_command(context)
    if named is None:
        result = standard.measure_own(extent, replicas=replicas or 4, seed=seed, say=output.note)
    else:
        if replicas is not None:
            raise output.Misused("--replicas is for a group that is made: leave it out, or --home")
        opened = Home.open(named)
        standard.check_can_be_measured(opened)
        _ask(opened, yes=yes)
        result = standard.measure_running(opened, extent, seed=seed, say=output.note)
    if json:
        output.emit(result)
    else:
        typer.echo(summary(result))


def _ask(home: Home, *, yes: bool) -> None:
    """Raises `Misused` where nobody can answer, and `typer.Abort` for a no."""
    if yes:
        return
    what = f"the ledger of group {output.printable(home.genesis.name)} keeps all that the benchmark submits, for good"
    if sys.stdin is None or not sys.stdin.isatty():
        raise output.Misused(f"{what}: say --yes if it may")
    typer.confirm(f"{what[0].upper()}{what[1:]}. Go on?", abort=True, err=True)
