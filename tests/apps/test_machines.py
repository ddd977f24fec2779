"""What the shipped applications do, one operation at a time, and what they refuse."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.apps.accounts import MAX_AMOUNT, TOTAL, Accounts, verify_conservation
from bftledger.apps.kv import Entry, KeyValue
from bftledger.apps.kv_payload import MAX_OPERATIONS
from bftledger.apps.load import load_machine
from bftledger.apps.machine import (
    CONFLICT,
    MALFORMED,
    MAX_RESULT_BYTES,
    NOT_ALLOWED,
    NOT_FOUND,
    OUT_OF_RANGE,
    Context,
    Rejected,
    Result,
    StateMachine,
)
from bftledger.apps.state import AuthenticatedMap, StateView
from bftledger.base import cbor
from bftledger.base.crypto import Ed25519Signer, tagged_hash
from bftledger.base.errors import BadProof, Malformed, OperatorError
from bftledger.base.ids import Millis, Seq
from bftledger.base.transaction import Transaction, sign
from tests.effort import counted

ISSUER, ALICE, BOB = (Ed25519Signer(bytes([i]) * 32) for i in (1, 2, 3))
HASH = tagged_hash("a group")


def a_transaction(payload: bytes, signer: Ed25519Signer = ALICE) -> Transaction:
    return sign(signer, HASH, nonce=bytes(8), created=Millis(1), expires=Millis(2), payload=payload)


class World:
    """A machine and its state; `do` executes words as one transaction and returns the result in words."""

    def __init__(self, machine: StateMachine) -> None:
        self.machine, self.state = machine, AuthenticatedMap()
        self.view = StateView(self.state)
        machine.genesis(self.view)
        self.view.commit()
        self.height = 0

    def do(self, words: str, signer: Ed25519Signer = ALICE) -> str:
        return self.machine.show_result(self.apply(self.machine.parse(words.split()), signer))

    def apply(self, payload: bytes, signer: Ed25519Signer = ALICE) -> bytes:
        self.height += 1
        transaction = a_transaction(payload, signer)
        try:
            self.machine.check(transaction)
            value = self.machine.apply(transaction, Context(Seq(self.height), Millis(1), signer.public_key, self.view))
        except Rejected:
            self.view.discard()
            raise
        self.view.commit()
        return value

    def get(self, *words: str) -> dict[str, Any]:
        key = self.machine.query_key(self.machine.parse_query(words))
        return self.machine.show_value(key, self.view.get(key))


def kv() -> World:
    return World(load_machine("kv", {}))


def accounts() -> World:
    return World(load_machine("accounts", {"issuers": [ISSUER.public_key.hex()]}))


def rejects(code: int, act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as raised:
        act()
    assert raised.value.code == code
    return raised.value.reason


def test_kv_entry_remembers_version_writer_and_height() -> None:
    world = kv()

    assert world.do("put color blue") == "version 1"
    assert world.do("put color red", BOB) == "version 2"
    assert world.get("color") == world.get("get", "color")
    assert world.get("color") == {
        "key": "color",
        "found": True,
        "value": "red",
        "version": 2,
        "height": 2,
        "sender": BOB.public_key.hex(),
    }


def test_kv_compares_and_sets_by_version() -> None:
    world = kv()

    assert world.do("cas color 0 blue") == "version 1"
    assert rejects(CONFLICT, lambda: world.do("cas color 0 red")) == "the version is 1, not 0"
    assert world.do("cas color 1 red") == "version 2"
    assert rejects(CONFLICT, lambda: world.do("cas other 1 red")) == "the version is 0, not 1"


def test_kv_deletes_what_is_there() -> None:
    world = kv()
    world.do("put color blue")

    assert world.do("delete color") == "deleted"
    assert world.get("color") == {"key": "color", "found": False}
    rejects(NOT_FOUND, lambda: world.do("delete color"))
    assert world.do("put color blue") == "version 1"


def test_kv_takes_keys_and_values_within_their_sizes() -> None:
    world = kv()
    world.apply(cbor.encode(["put", b"k" * 256, b""]))

    rejects(MALFORMED, lambda: world.apply(cbor.encode(["put", b"k" * 257, b""])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["put", b"", b""])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["put", b"k", bytes(128 * 1024 + 1)])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["put", "text", b""])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["cas", b"k", True, b""])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["cas", b"k", -1, b""])))


def test_kv_batch_does_its_operations_one_after_the_other() -> None:
    world = kv()
    world.do("put size small")

    assert world.do("batch put color blue cas color 1 red delete size put color green") == (
        "version 1, version 2, deleted, version 3"
    )
    assert world.get("color") == {
        "key": "color",
        "found": True,
        "value": "green",
        "version": 3,
        "height": 2,
        "sender": ALICE.public_key.hex(),
    }
    assert world.get("size") == {"key": "size", "found": False}


def test_kv_batch_has_no_effect_if_one_operation_fails() -> None:
    world = kv()
    world.do("put size small")

    assert rejects(CONFLICT, lambda: world.do("batch put color blue delete size cas color 0 red")) == (
        "operation 3: the version is 1, not 0"
    )
    assert rejects(NOT_FOUND, lambda: world.do("batch put color blue delete shape")) == (
        "operation 2: there is no such key"
    )
    assert world.get("color") == {"key": "color", "found": False}
    assert world.get("size")["version"] == 1


def test_kv_batch_is_bounded_and_holds_operations_only() -> None:
    world, put, cas = kv(), ["put", b"key", b""], ["cas", b"key", 2**63 - 1, b""]
    result = world.apply(cbor.encode(["batch", [put] * MAX_OPERATIONS]))

    assert cbor.decode(result) == list(range(1, MAX_OPERATIONS + 1))
    assert len(cbor.encode([2**63 - 1] * MAX_OPERATIONS)) <= MAX_RESULT_BYTES
    assert rejects(CONFLICT, lambda: world.apply(cbor.encode(["batch", [cas] * MAX_OPERATIONS])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", [put] * (MAX_OPERATIONS + 1)])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", [cas] * (MAX_OPERATIONS + 1)])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", []])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", put])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", [put], []])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", [["batch", [put]]]])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["batch", [["get", b"key"]]])))


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=70_000),
)
def test_kv_entry_has_one_encoding(version: int, height: int, sender: bytes, value: bytes) -> None:
    entry = Entry(version, height, sender, value)

    assert entry.encode() == cbor.encode([version, height, sender, value])
    assert Entry.decode(entry.encode()) == entry


def test_accounts_mint_and_transfer() -> None:
    world, alice, bob = accounts(), ALICE.public_key.hex(), BOB.public_key.hex()

    assert world.do(f"mint {alice} 100", ISSUER) == "100"
    assert world.do(f"transfer {bob} 30") == "70"
    assert world.get(alice) == {"account": alice, "balance": 70}
    assert world.get("get", bob) == {"account": bob, "balance": 30}
    assert world.get("total") == {"total": 100}
    assert world.do(f"transfer {alice} 70") == "70", "paying oneself changes nothing"


def test_accounts_let_only_issuers_mint_and_nobody_overdraw() -> None:
    world, alice, bob = accounts(), ALICE.public_key.hex(), BOB.public_key.hex()
    world.do(f"mint {alice} {MAX_AMOUNT}", ISSUER)

    rejects(NOT_ALLOWED, lambda: world.do(f"mint {bob} 1", ALICE))
    rejects(OUT_OF_RANGE, lambda: world.do(f"mint {bob} 1", ISSUER))
    rejects(OUT_OF_RANGE, lambda: world.do(f"transfer {alice} 1", BOB))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["transfer", BOB.public_key, 0])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["transfer", BOB.public_key, -1])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["transfer", BOB.public_key, True])))
    rejects(MALFORMED, lambda: world.apply(cbor.encode(["transfer", b"short", 1])))


SIGNERS = st.sampled_from([ISSUER, ALICE, BOB])
AMOUNTS = st.integers(1, 20) | st.integers(1, MAX_AMOUNT)


@given(st.lists(st.tuples(st.sampled_from(["mint", "transfer"]), SIGNERS, SIGNERS, AMOUNTS), max_size=20))
def test_sum_of_balances_is_what_was_minted(
    operations: list[tuple[str, Ed25519Signer, Ed25519Signer, int]],
) -> None:
    world, minted = accounts(), 0
    for operation, sender, receiver, amount in operations:
        try:
            world.apply(cbor.encode([operation, receiver.public_key, amount]), sender)
            minted += amount if operation == "mint" else 0
        except Rejected:
            pass
    world.state.update(world.view.changes)

    verify_conservation(world.state.items())
    assert world.get("total") == {"total": minted}


def test_broken_conservation_is_noticed() -> None:
    with pytest.raises(BadProof):
        verify_conservation([(TOTAL, bytes(8)), (b"balance/x", bytes(7) + b"\1")])


PAYLOADS = st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=33) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
).map(cbor.encode)
OPERATIONS = st.builds(
    lambda name, rest: cbor.encode([name, *rest]),
    st.sampled_from(["put", "delete", "cas", "batch", "mint", "transfer"]),
    st.lists(st.binary(max_size=33) | st.integers(-2, 2**64 - 1) | st.text(max_size=3), max_size=4),
)


@pytest.mark.parametrize("world", [kv, accounts])
@given(data=st.data())
def test_hostile_payload_is_rejected_or_done_and_can_be_shown(world: Callable[[], World], data: st.DataObject) -> None:
    payload, args = data.draw(PAYLOADS | OPERATIONS), data.draw(st.binary(max_size=300))
    a_world = world()
    with contextlib.suppress(Rejected):
        a_world.machine.show_result(a_world.apply(payload))
    assert a_world.machine.show(payload).isprintable()
    a_world.machine.show_result(args)
    with contextlib.suppress(Rejected):
        a_world.machine.query_key(args)


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (kv, "put color blue"),
        (kv, "delete color"),
        (kv, "cas color 0 blue"),
        (kv, "batch put color blue delete put cas batch 0 blue"),
        (kv, "batch put color blue"),
        (accounts, f"mint {BOB.public_key.hex()} 5"),
        (accounts, f"transfer {BOB.public_key.hex()} 5"),
    ],
)
def test_operation_is_shown_as_it_was_written(world: Callable[[], World], words: str) -> None:
    machine = world().machine

    assert machine.show(machine.parse(words.split())) == words == machine.show(machine.parse(tuple(words.split())))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (kv, ""),
        (kv, "put color"),
        (kv, "cas color one blue"),
        (kv, "cas color -1 blue"),
        (kv, "cas color 99999999999999999999 blue"),
        (kv, "put " + "k" * 257 + " v"),
        (kv, "put color blue put size small"),
        (kv, "batch"),
        (kv, "batch put color blue put size"),
        (kv, "batch batch put color blue"),
        (kv, "batch" + 257 * " delete color"),
        (accounts, "mint alice 5"),
        (accounts, f"mint {BOB.public_key.hex()} five"),
        (accounts, f"mint {BOB.public_key.hex()} 0"),
        (accounts, f"mint {BOB.public_key.hex()} {2**64}"),
        (accounts, f"mint {BOB.public_key.hex().upper()} 1"),
        (accounts, "steal"),
    ],
)
def test_words_that_mean_nothing_are_answered_in_one_line(world: Callable[[], World], words: str) -> None:
    with pytest.raises(OperatorError) as raised:
        world().machine.parse(words.split())
    assert "\n" not in str(raised.value)


def test_view_forgets_what_a_rejected_transaction_wrote() -> None:
    state = AuthenticatedMap([(b"a", b"1"), (b"b", b"1")])
    view = StateView(state)
    view.put(b"a", b"2")
    view.commit()
    view.put(b"a", b"3")
    view.delete(b"b")

    assert (view.get(b"a"), view.get(b"b")) == (b"3", None)

    view.discard()

    assert (view.get(b"a"), view.get(b"b")) == (b"2", b"1")
    assert view.changes == {b"a": b"2"}
    assert state.get(b"a") == b"1"


def test_view_reports_only_rows_that_differ_in_the_end() -> None:
    view = StateView(AuthenticatedMap([(b"a", b"1")]))
    for value in (b"2", b"1"):
        view.put(b"a", value)
        view.commit()
    view.put(b"new", b"")
    view.commit()
    view.delete(b"new")
    view.commit()

    assert view.changes == {}


@pytest.mark.parametrize(("key", "value"), [(b"", b""), (bytes(1025), b""), (b"k", bytes(1024 * 1024 + 1)), ("k", b"")])
def test_view_refuses_rows_that_no_proof_could_carry(key: Any, value: bytes) -> None:
    with pytest.raises(ValueError, match="of the state has"):
        StateView(AuthenticatedMap()).put(key, value)


def test_machines_are_found_by_name_and_by_class() -> None:
    assert isinstance(load_machine("kv", {}), KeyValue)
    assert isinstance(load_machine("bftledger.apps.accounts:Accounts", {"issuers": []}), Accounts)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("nonsense", {}),
        ("no.such.module:Class", {}),
        ("bftledger.apps.kv:Nothing", {}),
        ("bftledger.apps.kv:MAX_KEY_BYTES", {}),
        (":", {}),
        ("kv", {"color": "blue"}),
        ("accounts", {"issuers": ["alice"]}),
        ("accounts", {"issuers": "alice"}),
        ("accounts", {"minters": []}),
    ],
)
def test_unknown_application_or_params_are_answered_in_one_line(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(OperatorError) as raised:
        load_machine(name, params)
    assert "\n" not in str(raised.value)


@given(
    st.builds(lambda value: Result(0, value=value), st.binary(max_size=50))
    | st.builds(lambda code, reason: Result(code, reason=reason), st.integers(1, 65_535), st.text(max_size=200))
)
def test_result_comes_back_as_it_was(result: Result) -> None:
    assert Result.decode(result.encode()) == result


@given(st.binary(max_size=20) | PAYLOADS)
def test_hostile_result_is_malformed_or_canonical(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert Result.decode(data).encode() == data


def test_reason_that_quotes_no_unicode_can_still_be_encoded() -> None:
    error = Rejected(MALFORMED, "\ud800" * 500)

    assert len(Result.decode(Result(error.code, reason=error.reason).encode()).reason) == 200


# ── hostile payloads ──

HOSTILE = {
    "many items": b"\x99" + (16_383).to_bytes(2, "big") + b"\x80" * 16_383,
    "many items, nested": b"\x83" + (b"\x99" + (4_000).to_bytes(2, "big") + b"\x80" * 4_000) * 3,
    "deep": b"\x81" * 60_000 + b"\x80",
    "a map": b"\xb9" + (4_000).to_bytes(2, "big") + bytes(60_000),
    "truncated": b"\x83\x63put\x59\xff\xff",
    "no text": cbor.encode(["put", b"key", b"value"]).replace(b"put", b"\xff\xfe\xfd"),
    "nothing": b"",
}


@pytest.mark.parametrize("world", [kv(), accounts()], ids=["kv", "accounts"])
@pytest.mark.parametrize("payload", [pytest.param(payload, id=what) for what, payload in HOSTILE.items()])
def test_a_payload_that_is_no_operation_is_refused_at_once_and_in_words_of_our_own(
    world: World, payload: bytes
) -> None:
    """The reason is part of the ledger: it must not be a library's, which differ from one version to the next."""
    with counted() as effort, pytest.raises(Rejected) as refused:
        world.apply(payload)

    assert effort.lines <= 500, effort
    assert (refused.value.code, refused.value.reason) == (
        MALFORMED,
        "not an operation: it is not canonical CBOR of a few items",
    )
