"""The genesis names the group, and an invalid one is answered in one line that says what to do."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Millis, PublicKey
from tests.ledger.ledger_world import ALICE, BOB, GENESIS, a_genesis

Document = dict[str, Any]
PARAMS = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=64),
    st.dictionaries(st.text(max_size=5), PARAMS, max_size=3),
    st.lists(st.sampled_from([ALICE.public_key, BOB.public_key]), unique=True),
    st.integers(1, 262_144),
)
def test_genesis_comes_back_from_its_file(name: str, params: Document, members: list[PublicKey], payload: int) -> None:
    genesis = replace(
        GENESIS, name=name, app_params=params, members=tuple(members), max_payload_bytes=payload, max_skew_ms=Millis(0)
    )
    again = Genesis.from_json(genesis.to_json())

    assert again == genesis
    assert again.genesis_hash == genesis.genesis_hash


def test_hash_depends_on_every_fact_and_not_on_how_the_file_is_written() -> None:
    document = json.loads(GENESIS.to_json())
    swapped = dict(reversed(document.items()))
    changed = [
        replace(GENESIS, name="other"),
        replace(GENESIS, created=Millis(GENESIS.created + 1)),
        replace(GENESIS, app="accounts"),
        replace(GENESIS, app_params={"a": 1}),
        replace(GENESIS, replicas=GENESIS.replicas[::-1]),
        replace(GENESIS, members=(ALICE.public_key,)),
        replace(GENESIS, max_lifetime_ms=Millis(60_000)),
        replace(GENESIS, max_skew_ms=Millis(1)),
        replace(GENESIS, max_payload_bytes=1),
    ]

    assert Genesis.from_json(json.dumps(swapped)).genesis_hash == GENESIS.genesis_hash
    assert len({genesis.genesis_hash for genesis in [GENESIS, *changed]}) == 1 + len(changed)


def test_optional_parts_of_the_file_have_defaults() -> None:
    document = json.loads(GENESIS.to_json())
    del document["members"], document["limits"], document["app"]["params"]

    assert Genesis.from_json(json.dumps(document)) == GENESIS


def test_group_has_the_signing_keys_in_order() -> None:
    assert GENESIS.group.keys == tuple(keys.signing_key for keys in GENESIS.replicas)
    assert GENESIS.group.genesis_hash == GENESIS.genesis_hash


def _edit(*path: str | int, value: Any = None, drop: bool = False) -> Callable[[Document], None]:
    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        if drop:
            del document[path[-1]]
        else:
            document[path[-1]] = value

    return edit


KEY = "11" * 32
INVALID: list[tuple[Callable[[Document], None], str]] = [
    (_edit("replicas", 3, drop=True), "at least 4"),
    (_edit("replicas", value=[]), "at least 4"),
    (
        _edit("replicas", 1, value={"signing_key": GENESIS.replicas[0].signing_key.hex(), "transport_key": KEY}),
        "same signing",
    ),
    (_edit("replicas", 1, "transport_key", value="00" * 32), "same transport key"),
    (_edit("replicas", 0, "signing_key", value=KEY[2:]), "64 lower-case"),
    (_edit("replicas", 0, "signing_key", value=KEY + "00"), "64 lower-case"),
    (_edit("replicas", 0, "signing_key", value=KEY[:-1] + "A"), "64 lower-case"),
    (_edit("replicas", 0, "signing_key", value=7), "64 lower-case"),
    (_edit("replicas", 0, "address", value="x"), "'address'"),
    (_edit("replicas", 0, "transport_key", drop=True), "'transport_key'"),
    (_edit("replicas", 0, value="x"), "not an object"),
    (_edit("replicas", value={}), "not a list"),
    (_edit("format", value=2), "format 1"),
    (_edit("format", value=True), "format 1"),
    (_edit("name", value=""), "name is not"),
    (_edit("name", value="a\nb"), "name is not"),
    (_edit("name", value=5), "name is not"),
    (_edit("name", drop=True), "'name'"),
    (_edit("created_ms", value=-1), "created_ms"),
    (_edit("created_ms", value=2**48), "created_ms"),
    (_edit("created_ms", value=1.5), "created_ms"),
    (_edit("app", value="kv"), "not an object"),
    (_edit("app", "name", value=""), "application's name"),
    (_edit("app", "params", value=[]), "params"),
    (_edit("app", "params", value={"a": 1.5}), "params"),
    (_edit("app", "params", value={"a": None}), "params"),
    (_edit("app", "params", value={"a": 2**64}), "params"),
    (_edit("app", "params", value={"a": "\ud800"}), "params"),
    (_edit("members", value=[KEY, KEY]), "same member key"),
    (_edit("members", value=["x"]), "members[0]"),
    (_edit("members", value=None), "not a list"),
    (_edit("limits", "max_lifetime_ms", value=0), "max_lifetime_ms"),
    (_edit("limits", "max_skew_ms", value=-1), "max_skew_ms"),
    (_edit("limits", "max_payload_bytes", value=2**30), "max_payload_bytes"),
    (_edit("limits", "max_payload_bytes", value="1"), "max_payload_bytes"),
    (_edit("limits", "max_color", value=1), "'max_color'"),
    (_edit("color", value="blue"), "'color'"),
]


@pytest.mark.parametrize(("edit", "says"), INVALID)
def test_invalid_genesis_is_answered_in_one_line(edit: Callable[[Document], None], says: str) -> None:
    document = json.loads(GENESIS.to_json())
    edit(document)

    with pytest.raises(OperatorError) as raised:
        Genesis.from_json(json.dumps(document))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        '{"name": "a", "name": "b"}',
        "[" * 100_000,
        '{"format": ' + "9" * 5_000 + "}",
        b"\xff\xfe\xff",
        "NaN",
    ],
)
def test_file_that_is_no_genesis_at_all_is_answered_in_one_line(text: str | bytes) -> None:
    with pytest.raises(OperatorError) as raised:
        Genesis.from_json(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


@given(st.text(max_size=50) | st.binary(max_size=50))
def test_hostile_file_raises_the_declared_error_only(text: str | bytes) -> None:
    with pytest.raises(OperatorError):
        Genesis.from_json(text)


def test_invalid_genesis_cannot_be_made_in_memory_either() -> None:
    nested: Any = "deep"
    for _ in range(30):
        nested = [nested]
    for wrong in (
        {"replicas": GENESIS.replicas[:3]},
        {"replicas": (*GENESIS.replicas[:3], ReplicaKeys(PublicKey(b"short"), bytes(32)))},
        {"members": (PublicKey(b"short"),)},
        {"app_params": {"nested": nested}},
    ):
        with pytest.raises(OperatorError):
            replace(a_genesis(), **wrong)
