"""`replica`: one replica in the foreground."""

from typing import Annotated

import typer

from bftledger.cli.options import NO_HOME, HomeOption, examples
from bftledger.home.home import Home


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples("bftledger --home G replica --id 0", "ExecStart=bftledger --home /srv/ledger replica --id 2"),
        short_help="Runs one replica in the foreground.",
    )(replica)


def replica(
    id_: Annotated[int, typer.Option("--id", metavar="I", help="Which one, counted from 0.", show_default=False)],
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Stop when standard input ends, as when its writer dies.")
    ] = False,
    home: HomeOption = NO_HOME,
) -> None:
    """Runs one replica in the foreground, until SIGTERM or Ctrl-C.

    This is what `up` starts for each replica, and what a service manager runs on a host of its own: there the home
    needs genesis.json, configs/group.toml and keys/replica-I.key. It logs to standard error.
    """
    from bftledger.node.driver import run_replica  # noqa: PLC0415  (the network, which other commands start without)
    from bftledger.node.presence import Presence  # noqa: PLC0415

    opened = Home.open(home)
    with Presence(opened, opened.check_replica_id(id_)):
        status = run_replica(opened, opened.check_replica_id(id_), log=None, exit_with_parent=exit_with_parent)
    raise typer.Exit(status)
