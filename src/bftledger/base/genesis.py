"""The genesis: everything that the members of a group agree on before the first block, and never change.

Its hash names the group: every signature, transaction and block of the group covers it. Replicas, clients and
whoever checks a receipt hold the same file and need nothing else to know whom to believe. On disk it is JSON with
keys in hexadecimal; what is hashed is the canonical CBOR of its fields, so neither spaces nor the order of fields in
the file matter.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, NoReturn

from bftledger.base import cbor
from bftledger.base.crypto import PUBLIC_KEY_BYTES, tagged_hash
from bftledger.base.errors import Malformed, OperatorError
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, PublicKey
from bftledger.base.transaction import MAX_MILLIS, MAX_PAYLOAD_BYTES

FORMAT: Final = 1
MIN_REPLICAS: Final = 4
MAX_REPLICAS: Final = 200
"""With more than a few more, a NEW-VIEW for the smallest window would fit no message (`home.config` checks windows)."""

MAX_MEMBERS: Final = 4_096
MAX_NAME_LENGTH: Final = 64
MAX_APP_LENGTH: Final = 256
MAX_LIFETIME_MS: Final = 24 * 60 * 60 * 1_000
MAX_SKEW_MS: Final = 10 * 60 * 1_000

_LIMITS: Final = {
    "max_lifetime_ms": (1_000, MAX_LIFETIME_MS),
    "max_skew_ms": (0, MAX_SKEW_MS),
    "max_payload_bytes": (1, MAX_PAYLOAD_BYTES),
}
_REQUIRED: Final = {"format", "name", "created_ms", "app", "replicas"}
_OPTIONAL: Final = {"members", "limits"}


class ReplicaKeys(NamedTuple):
    """A replica's public keys, 32 bytes each: Ed25519 for what it signs, Curve25519 for its connections."""

    signing_key: PublicKey
    transport_key: bytes


@dataclass(frozen=True, kw_only=True)
class Genesis:
    """A group's founding facts; each instance is valid, because making an invalid one raises `OperatorError`.

    `created`: the genesis block's time in milliseconds since the epoch. `app`: the state machine's name, or
    `module:Class`; `app_params`: what it is made with (text, integers, booleans, lists and objects). `replicas`: by
    replica id. `members`: the client keys that may submit; nobody listed means that everybody may.
    `max_lifetime_ms`: the longest time from a transaction's creation to its expiry. `max_skew_ms`: how far a
    transaction's creation may lie after its block's time.
    """

    name: str
    created: Millis
    app: str
    app_params: Mapping[str, Any] = field(default_factory=dict)
    replicas: tuple[ReplicaKeys, ...]
    members: tuple[PublicKey, ...] = ()
    max_lifetime_ms: Millis = Millis(300_000)
    max_skew_ms: Millis = Millis(10_000)
    max_payload_bytes: int = 65_536
    format: int = FORMAT

    def __post_init__(self) -> None:
        if type(self.format) is not int or self.format != FORMAT:
            _refuse(f"format is {self.format!r}, but this program reads format {FORMAT}: use the program it is for")
        _check_text("name", self.name, MAX_NAME_LENGTH)
        _check_number("created_ms", self.created, 0, MAX_MILLIS)
        _check_text("the application's name", self.app, MAX_APP_LENGTH)
        if not isinstance(self.app_params, dict):
            _refuse("the application's params are not an object: write them as {...}")
        _check_params(self.app_params, cbor.MAX_DEPTH)
        _check_replicas(self.replicas)
        if len(self.members) > MAX_MEMBERS:
            _refuse(f"{len(self.members)} members are listed: list at most {MAX_MEMBERS}")
        for i, key in enumerate(self.members):
            _check_key(f"members[{i}]", key)
        _check_distinct("member key", self.members)
        for name, (least, most) in _LIMITS.items():
            _check_number(f"limits.{name}", getattr(self, name), least, most)
        try:
            _ = self.encoded
        except Malformed as error:
            _refuse(f"the application's params {error}: make them simpler")

    @cached_property
    def encoded(self) -> bytes:
        """CBOR array of all fields, the bytes that `genesis_hash` covers."""
        return cbor.encode(
            [
                self.format,
                self.name,
                self.created,
                self.app,
                self.app_params,
                [list(keys) for keys in self.replicas],
                list(self.members),
                [getattr(self, name) for name in _LIMITS],
            ]
        )

    @cached_property
    def genesis_hash(self) -> Digest:
        """32 bytes that name the group."""
        return tagged_hash("genesis", self.encoded)

    @cached_property
    def group(self) -> Group:
        """The replicas as the protocol sees them."""
        return Group(self.genesis_hash, tuple(keys.signing_key for keys in self.replicas))

    @cached_property
    def group_digest(self) -> Digest:
        """32 bytes: the hash of the replicas' signing keys in order. Each block header carries it."""
        return tagged_hash("group", *self.group.keys)

    @cached_property
    def member_set(self) -> frozenset[PublicKey]:
        """`members`, for quick questions."""
        return frozenset(self.members)

    def to_json(self) -> str:
        """The file's text, with keys in hexadecimal; `from_json` takes it back."""
        document = {
            "format": self.format,
            "name": self.name,
            "created_ms": self.created,
            "app": {"name": self.app, "params": self.app_params},
            "replicas": [
                {"signing_key": keys.signing_key.hex(), "transport_key": keys.transport_key.hex()}
                for keys in self.replicas
            ],
            "members": [key.hex() for key in self.members],
            "limits": {name: getattr(self, name) for name in _LIMITS},
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Genesis":
        """The genesis that a file's text stands for. Raises `OperatorError` for anything that is not exactly one."""
        document = _object("the file", _parse(text), _REQUIRED, _OPTIONAL)
        app = _object("app", document["app"], {"name"}, {"params"})
        limits = _object("limits", document.get("limits", {}), set(), set(_LIMITS))
        replicas = []
        for i, entry in enumerate(_list("replicas", document["replicas"])):
            keys = _object(f"replicas[{i}]", entry, {"signing_key", "transport_key"}, set())
            signing_key = _key(f"replicas[{i}].signing_key", keys["signing_key"])
            replicas.append(ReplicaKeys(signing_key, _key(f"replicas[{i}].transport_key", keys["transport_key"])))
        members = [_key(f"members[{i}]", key) for i, key in enumerate(_list("members", document.get("members", [])))]
        return cls(
            format=document["format"],
            name=document["name"],
            created=document["created_ms"],
            app=app["name"],
            app_params=app.get("params", {}),
            replicas=tuple(replicas),
            members=tuple(members),
            **limits,
        )


def _refuse(what: str) -> NoReturn:
    raise OperatorError(f"the genesis is not valid: {what}") from None


def _check_text(name: str, value: object, longest: int) -> None:
    if type(value) is not str or not 1 <= len(value) <= longest or not value.isprintable():
        _refuse(f"{name} is not a text of 1 to {longest} printable characters: choose another")


def _check_number(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        _refuse(f"{name} is not a whole number from {least} to {most}: change it")


def _check_key(name: str, key: object) -> None:
    if type(key) is not bytes or len(key) != PUBLIC_KEY_BYTES:
        _refuse(f"{name} is not a key of {PUBLIC_KEY_BYTES} bytes: give its {2 * PUBLIC_KEY_BYTES} hexadecimal digits")


def _check_distinct(what: str, keys: tuple[bytes, ...]) -> None:
    first: dict[bytes, int] = {}
    for i, key in enumerate(keys):
        if key in first:
            _refuse(f"the same {what} stands at places {first[key]} and {i}: give each its own")
        first[key] = i


def _check_replicas(replicas: tuple[ReplicaKeys, ...]) -> None:
    if not MIN_REPLICAS <= len(replicas) <= MAX_REPLICAS:
        _refuse(
            f"{len(replicas)} replicas are listed: list at least {MIN_REPLICAS}, to tolerate a faulty one, "
            f"and at most {MAX_REPLICAS}"
        )
    for i, keys in enumerate(replicas):
        _check_key(f"replicas[{i}].signing_key", keys.signing_key)
        _check_key(f"replicas[{i}].transport_key", keys.transport_key)
    _check_distinct("signing key", tuple(keys.signing_key for keys in replicas))
    _check_distinct("transport key", tuple(keys.transport_key for keys in replicas))


def _check_params(value: object, depth: int) -> None:
    """JSON and CBOR must both be able to hold it, and both give it back as it was."""
    if depth == 0:
        _refuse("the application's params are nested too deep: make them flatter")
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                _refuse("a name in the application's params is not text: quote it")
            _check_params(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_params(item, depth - 1)
    elif type(value) not in (str, int, bool):
        _refuse("the application's params hold something else than text, whole numbers, true, false, lists and objects")


def _parse(text: str | bytes) -> Any:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            _refuse("a name occurs twice in one object: keep one of them")
        return values

    try:
        return json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        _refuse(f"it is not JSON ({str(error).splitlines()[0]}): get the group's genesis.json again")


def _object(name: str, value: object, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"{name} is not an object: write it as {{...}}")
    for missing in sorted(required - value.keys()):
        _refuse(f"{name} lacks {missing!r}: add it")
    for unknown in sorted(value.keys() - required - optional):
        _refuse(f"{name} has {unknown!r}, which means nothing here: remove it")
    return value


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        _refuse(f"{name} is not a list: write it as [...]")
    return value


def _key(name: str, value: object) -> PublicKey:
    # bytes.fromhex would take spaces and capital letters too: then two files would say the same differently.
    key = value if isinstance(value, str) else ""
    if len(key) != 2 * PUBLIC_KEY_BYTES or any(digit not in "0123456789abcdef" for digit in key):
        _refuse(f"{name} is not {2 * PUBLIC_KEY_BYTES} lower-case hexadecimal digits: copy it from the replica's key")
    return PublicKey(bytes.fromhex(key))
