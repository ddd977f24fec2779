"""`init`: makes a group."""

import json as json_format
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bftledger.apps.load import SHIPPED
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import MAX_REPLICAS, MIN_REPLICAS
from bftledger.cli import output
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, examples
from bftledger.home.home import Home
from bftledger.home.home import init as init_home
from bftledger.home.template import DEFAULT_APP, Template, read_template


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger init",
            "bftledger --home G init --replicas 7",
            "bftledger --home G init --config configs/local-4.toml",
            "bftledger --home G key new bank --insecure",
            "bftledger --home G init --app accounts --param issuers='[\"key:bank\"]'",
        ),
        short_help="Makes a group.",
    )(init)


def init(
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas",
            metavar="N",
            help=f"{MIN_REPLICAS} to {MAX_REPLICAS}; 3f+1 of them bear f faulty ones.  [default: {MIN_REPLICAS}]",
        ),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="NAME", help=f"{', '.join(SHIPPED)}, or module:Class.  [default: {DEFAULT_APP}]"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="A description of the group, such as those of configs/."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What the group is called.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="NAME=VALUE", help="A parameter of the application, its value JSON or text. Repeatable."
        ),
    ] = None,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Makes a group: genesis.json, keys/, configs/ and data/ in the home.

    Options win over what the file of --config says. What is in the genesis can never be changed; the addresses and
    the protocol's numbers in configs/group.toml can.
    """
    template = Template() if config is None else read_template(config)
    given: dict[str, Any] = {"replicas": replicas, "app": app, "name": name}
    changes = {key: value for key, value in given.items() if value is not None}
    if param:
        changes["app_params"] = {**template.app_params, **dict(_parameter(text) for text in param)}
    if template.addresses and changes.get("replicas", template.replicas) != template.replicas:
        raise OperatorError(f"{config}: says where {template.replicas} replicas are: leave out --replicas {replicas}")
    made = init_home(home, replace(template, **changes))
    if json:
        output.emit(described(made))
    else:
        announce(made)


def announce(home: Home) -> None:
    """Tells a person what was made."""
    group = home.genesis.group
    output.fields(
        {
            "home": home.path,
            "genesis": home.genesis.genesis_hash,
            "application": home.genesis.app,
            "tolerates": f"{output.plural(group.f, 'faulty replica')} of {group.n}",
        },
        head=f"group {home.genesis.name} made: {group.n} replicas",
        style=output.GOOD,
    )


def described(home: Home) -> dict[str, Any]:
    """The same for programs."""
    genesis = home.genesis
    return {
        "home": str(home.path.absolute()),
        "name": genesis.name,
        "genesis": genesis.genesis_hash.hex(),
        "app": genesis.app,
        "replicas": genesis.group.n,
        "tolerates": genesis.group.f,
    }


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise output.Misused(f"--param {text}: is not NAME=VALUE")
    try:
        return name, json_format.loads(value)
    except (ValueError, RecursionError):
        return name, value
