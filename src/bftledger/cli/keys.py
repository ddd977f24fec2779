"""`key new`, `key list`, `key show`: client keys, and how the other commands find and unlock one."""

import os
import sys
from typing import Annotated, Any, Final

import typer

from bftledger.base.errors import OperatorError
from bftledger.cli import output
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, examples
from bftledger.home.home import Home
from bftledger.home.keys import ClientKey, check_key_name, list_client_keys, new_client_key, read_client_key

PASSPHRASE_VARIABLE: Final = "BFTLEDGER_PASSPHRASE"

app = typer.Typer(help="Client keys: what transactions are signed with.", no_args_is_help=False)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 32 of a-z, 0-9, - and _.", show_default=False)]


@app.command(
    epilog=examples(
        "bftledger key new alice",
        "bftledger key new robot --insecure",
        f"{PASSPHRASE_VARIABLE}=... bftledger key new alice",
    )
)
def new(
    name: _Name,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Store the key without a passphrase: whoever reads the file has it.")
    ] = False,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Makes a client key, encrypted with a passphrase.

    The passphrase is asked for twice, or taken from BFTLEDGER_PASSPHRASE. It cannot be recovered. The home need not
    hold a group yet.
    """
    directory = Home(home).client_keys_path
    check_key_name(name)
    if any(key.name == name for key in list_client_keys(directory)):
        raise OperatorError(f"there is a key {name} in {directory} already: choose another name")
    key = new_client_key(directory, name, None if insecure else _new_passphrase(name))
    if json:
        output.emit(_described(key))
        return
    output.fields({"public key": key.public_key, "file": key.path}, head=f"key {key.name} made", style=output.GOOD)
    if insecure:
        output.note("  not encrypted: whoever can read the file can sign with it")


@app.command("list", epilog=examples("bftledger key list", "bftledger key list --json"))
def list_(home: HomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Lists the client keys of the home."""
    directory = Home(home).client_keys_path
    keys = list_client_keys(directory)
    if json:
        output.emit([_described(key) for key in keys])
    elif keys:
        rows = [(key.name, _protection(key), key.public_key) for key in keys]
        output.table(("name", "protection", "public key"), rows)
    else:
        output.note(f"no client keys in {output.pretty(directory)}: make one with bftledger key new NAME")


@app.command(epilog=examples("bftledger key show alice", "bftledger key show --json | jq -r .public_key"))
def show(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Shows a client key's public half, which is also its account's name. Needs no passphrase."""
    key = choose(Home(home), name)
    if json:
        output.emit(_described(key))
    else:
        details = {"public key": key.public_key, "protection": _protection(key), "file": key.path}
        output.fields(details, head=f"key {key.name}")


def choose(home: Home, name: str | None) -> ClientKey:
    """The key called `name`, or the only one there is. Raises `OperatorError` that says how to make or choose one."""
    if name is not None:
        return read_client_key(home.client_keys_path, name)
    keys = list_client_keys(home.client_keys_path)
    if not keys:
        command = f"bftledger --home {output.pretty(home.path)} key new NAME"
        raise OperatorError(
            f"there is no client key in {output.pretty(home.client_keys_path)}: make one with {command}"
        )
    if len(keys) > 1:
        names = ", ".join(key.name for key in keys)
        raise OperatorError(f"there are several client keys ({names}): choose one with --key NAME")
    return keys[0]


def passphrase_of(key: ClientKey) -> str | None:
    """What unlocks the key, asked for if need be; None if it needs nothing. Raises `OperatorError`."""
    return _passphrase(f"Passphrase of key {key.name}", confirm=False) if key.encrypted else None


def _new_passphrase(name: str) -> str:
    return _passphrase(f"Passphrase for key {name}", confirm=True)


def _passphrase(question: str, *, confirm: bool) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        other = ", or use --insecure" if confirm else ""
        raise OperatorError(
            f"a passphrase is needed, and standard input is no terminal: set {PASSPHRASE_VARIABLE}{other}"
        )
    answer: str = typer.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def _protection(key: ClientKey) -> str:
    return "passphrase" if key.encrypted else "none"


def _described(key: ClientKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "public_key": key.public_key.hex(),
        "encrypted": key.encrypted,
        "file": str(key.path.absolute()),
    }
