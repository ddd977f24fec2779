"""Options that several commands have. `--home` and `--json` may stand before the command or after it."""

from pathlib import Path
from typing import Annotated, Final

import typer

from bftledger.base.errors import OperatorError
from bftledger.home.home import Home
from bftledger.home.keys import list_client_keys

DEFAULT_HOME: Final = Path("bftledger-home")
HOME_VARIABLE: Final = "BFTLEDGER_HOME"


def examples(*lines: str) -> str:
    """An epilog of a help text, its lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _home(context: typer.Context, value: Path | None) -> Path:
    if value is not None:
        context.meta["home"] = value
    home: Path = context.meta.get("home", DEFAULT_HOME)
    return home


def home_before_command(context: typer.Context) -> Path | None:
    """`--home` written before the command, for one that wants a home of its own: the environment's does not count."""
    parent = context.parent
    source = parent.get_parameter_source("home") if parent is not None else None
    if source is None or source.name != "COMMANDLINE":
        return None
    named: Path = context.meta["home"]
    return named


def _json(context: typer.Context, value: bool) -> bool:
    context.meta["json"] = value or context.meta.get("json", False)
    return bool(context.meta["json"])


def _key_names(context: typer.Context, incomplete: str) -> list[str]:
    try:
        keys = list_client_keys(Home(_home(context, None)).client_keys_path)
    except OperatorError:
        return []
    return [key.name for key in keys if key.name.startswith(incomplete)]


HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        metavar="DIR",
        callback=_home,
        help=f"The group's home.  [default: ${HOME_VARIABLE}, or ./{DEFAULT_HOME}]",
        show_default=False,
    ),
]
"""After the command. Declared with the default None, which the callback replaces."""

GlobalHomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        metavar="DIR",
        callback=_home,
        envvar=HOME_VARIABLE,
        help=f"The group's home: its genesis, keys, configuration and ledgers.  [default: ./{DEFAULT_HOME}]",
        show_default=False,
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", callback=_json, help="Answer as JSON on standard output, for programs.")
]

GenesisOption = Annotated[
    Path | None,
    typer.Option(
        "--genesis", metavar="FILE", help="The group's genesis.  [default: genesis.json beside FILE, or the home's]"
    ),
]

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help="The client key to sign with.  [default: the only one there is]",
        autocompletion=_key_names,
    ),
]

TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=3600.0, help="Wait at most so long.")
]

NO_HOME: Final[Path] = None  # type: ignore[assignment]
"""The default of `HomeOption` in a signature: the callback puts the home there."""
