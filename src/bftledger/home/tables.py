"""Reading TOML that people write: every key known, every value of its type and in its range, or one clear line.

A `Table` hands out its keys one by one and at the end refuses what nobody asked for, naming the nearest key that
exists. Every message names the file, the key, the value found and what is allowed.
"""

import difflib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from bftledger.base.errors import OperatorError

_T = TypeVar("_T")
_SHOWN: Final = 60
_REQUIRED: Final[Any] = object()


def parse(path: Path, data: bytes) -> "Table":
    """The TOML document `data`, found in `path`. Raises `OperatorError` if it is none."""
    try:
        return Table(path, "", tomllib.loads(data.decode()))
    except UnicodeDecodeError:
        raise OperatorError(f"{path}: is not a text file in UTF-8") from None
    except (tomllib.TOMLDecodeError, ValueError) as error:  # a date such as 2025-13-45 is a ValueError
        raise OperatorError(f"{path}: is not valid TOML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise OperatorError(f"{path}: is nested too deeply") from None


def shown(value: object) -> str:
    """`value` as the user wrote it, more or less, and not too long for one line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if not isinstance(value, str) else '"' + value.encode("unicode_escape").decode() + '"'
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(name: str, known: list[str]) -> str:
    """A hint for the reader who misspelt `name`: what was meant, or what there is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(sorted(known))}" if known else "nothing is known there"


class Table:
    """One table of a document, being read. `name` is its dotted name, empty for the document."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self.path = path
        self.name = name
        self._values = values
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def integer(self, key: str, low: int, high: int, default: int = _REQUIRED) -> int:
        """The integer at `key`, low ≤ it ≤ high."""
        value = self._take(key, default, f"a whole number from {low} to {high}")
        if type(value) is not int or not low <= value <= high:
            self.refuse(key, value, f"allowed is a whole number from {low} to {high}")
        return value

    def text(self, key: str, default: str = _REQUIRED, *, meaning: str = "a text") -> str:
        """The string at `key`, on one line and not empty."""
        value = self._take(key, default, meaning)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self.refuse(key, value, f"it should be {meaning}")
        return value

    def octets(self, key: str, length: int) -> bytes:
        """The `length` bytes at `key`, in hexadecimal. The value is not quoted in an error: it may be a secret."""
        value = self._take(key, _REQUIRED, f"{2 * length} hexadecimal digits")
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        if len(data) != length or data.hex() != value:
            raise OperatorError(
                f"{self.path}: {self._full(key)} is not {2 * length} hexadecimal digits in lower case: "
                "restore the file from a copy"
            )
        return data

    def parsed(self, key: str, parse_text: Callable[[str], _T], meaning: str) -> _T:
        """What `parse_text` makes of the string at `key`; it raises ValueError for what is wrong."""
        value = self.text(key, meaning=meaning)
        try:
            return parse_text(value)
        except ValueError as error:
            self.refuse(key, value, f"{error}")

    def table(self, key: str, *, required: bool = True) -> "Table":
        """The table at `key`; an empty one if it is missing and not required."""
        value = self._take(key, _REQUIRED if required else {}, f"a table, written [{self._full(key)}]")
        if not isinstance(value, dict):
            self.refuse(key, value, f"it should be a table, written [{self._full(key)}]")
        return Table(self.path, self._full(key), value)

    def anything(self, key: str) -> dict[str, Any]:
        """What the table at `key` holds, for somebody else to check; empty if the key is missing."""
        value = self.table(key, required=False)
        return value._values

    def tables(self, key: str) -> "list[Table]":
        """The tables written [[key]], in their order; none if the key is missing."""
        values = self._take(key, [], "")
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.refuse(key, values, f"it should be tables, each written [[{self._full(key)}]]")
        return [Table(self.path, f"{self._full(key)}[{i}]", value) for i, value in enumerate(values)]

    def texts(self, key: str) -> list[str]:
        """The list of strings at `key`; empty if the key is missing."""
        values = self._take(key, [], "")
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.refuse(key, values, "it should be a list of texts")
        return values

    def known(self, key: str) -> None:
        """Lets `close` pass `key`, which the caller found missing, and name it as one that exists."""
        self._asked.append(key)

    def close(self) -> None:
        """Refuses the first key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                where = f"[{self.name}] " if self.name else ""
                raise OperatorError(f"{self.path}: {where}has an unknown key {shown(key)}: {nearest(key, self._asked)}")

    def refuse(self, key: str, value: object, why: str) -> NoReturn:
        """Raises `OperatorError`: the file, the key, the value, and `why`, a sentence on what is allowed."""
        raise OperatorError(f"{self.path}: {self._full(key)} = {shown(value)}: {why}")

    def _take(self, key: str, default: Any, meaning: str) -> Any:
        self._asked.append(key)
        value = self._values.get(key, default)
        if value is _REQUIRED:
            raise OperatorError(f"{self.path}: {self._full(key)} is missing: it should be {meaning}")
        return value

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key
