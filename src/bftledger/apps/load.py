"""Finding an application by the name that the genesis gives it.

A name is one of the applications that come with the ledger, an entry point of the group `bftledger.apps` that some
installed package declares, or `module:Class`. The class is called with the genesis parameters.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, cast

from bftledger.apps.accounts import Accounts
from bftledger.apps.kv import KeyValue
from bftledger.apps.machine import StateMachine
from bftledger.base.errors import OperatorError

ENTRY_POINTS: Final = "bftledger.apps"
SHIPPED: Final[Mapping[str, Callable[[Mapping[str, Any]], StateMachine]]] = {"kv": KeyValue, "accounts": Accounts}


def load_machine(name: str, params: Mapping[str, Any]) -> StateMachine:
    """The application called `name`, made with `params`.

    Raises `OperatorError` if there is none, if it cannot be imported, or if it refuses the parameters.
    """
    try:
        machine = _find(name)(params)
    except (TypeError, ValueError, KeyError) as error:
        raise OperatorError(f"the application {name!r} does not take its params in the genesis: {error}") from None
    return cast(StateMachine, machine)


def _find(name: str) -> Callable[[Mapping[str, Any]], Any]:
    if name in SHIPPED:
        return SHIPPED[name]
    try:
        if ":" in name:
            return _import(name)
        for entry_point in entry_points(group=ENTRY_POINTS, name=name):
            return cast(Callable[[Mapping[str, Any]], Any], entry_point.load())
    except (ImportError, AttributeError, ValueError) as error:
        raise OperatorError(f"the application {name!r} cannot be loaded ({error}): install its package") from None
    raise OperatorError(
        f"there is no application called {name!r}: use {', '.join(SHIPPED)}, module:Class, or install its package"
    )


def _import(name: str) -> Callable[[Mapping[str, Any]], Any]:
    module, _, attribute = name.partition(":")
    found = getattr(import_module(module), attribute)
    if not callable(found):
        raise AttributeError(f"{attribute} is not a class")
    return cast(Callable[[Mapping[str, Any]], Any], found)
