"""Whether what is planted fits: a patch that cannot be called fails by itself, and looks like a bug that was caught."""

from collections.abc import Callable
from functools import cached_property
from inspect import Parameter, getattr_static, signature
from typing import Any

Shape = list[tuple[object, ...]]
"""The parameters of a function, as far as they matter to those who call it."""


def misfit(owner: Any, attribute: str, instead: Any) -> str | None:
    """Why `instead` cannot stand for `owner.attribute`; None if it can.

    A function takes as many parameters as the original, of the same kinds and with the same defaults; those that are
    given by name have the same names. Whatever else is replaced keeps its type.
    """
    original = function_of(getattr_static(owner, attribute))
    if original is None:
        kept = getattr(owner, attribute)
        if type(instead) is type(kept):
            return None
        return f"{attribute} is of type {type(kept).__name__}, not {type(instead).__name__}"
    if _shape(original) == _shape(instead):
        return None
    return f"{attribute} takes {signature(original)}, not {signature(instead)}"


def function_of(found: Any) -> Callable[..., Any] | None:
    """The function that stands in a class or module, by itself or as what computes a property; None if none does."""
    if isinstance(found, property):
        return found.fget
    if isinstance(found, cached_property):
        return found.func
    return found if callable(found) else None


def _shape(function: Callable[..., Any]) -> Shape:
    return [_of(parameter) for parameter in signature(function).parameters.values()]


def _of(parameter: Parameter) -> tuple[object, ...]:
    name = parameter.name if parameter.kind is Parameter.KEYWORD_ONLY else None
    return parameter.kind, name, parameter.default
