"""The verifier in docs/formats.md, which shares no line with this program, agrees with it about receipts."""

import re
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.crypto import Ed25519Verifier
from bftledger.ledger.receipt import Receipt, verify_receipt
from tests.ledger.ledger_world import GENESIS, World, a_genesis, a_world_of

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
(SOURCE,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
WORLD = a_world_of(12)


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """The module that the page shows."""
    namespace: dict[str, Any] = {"__name__": "check_receipt"}
    exec(compile(SOURCE, str(PAGE), "exec"), namespace)
    return namespace


def test_the_documented_verifier_uses_nothing_of_this_package() -> None:
    assert re.findall(r"^(?:from|import) (\w+)", SOURCE, re.MULTILINE) == ["json", "sys", "hashlib", "cbor2", "nacl"]


@pytest.mark.parametrize("later", [None, 6, 9, 12])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_documented_verifier_reads_a_receipt_as_the_program_does(
    documented: dict[str, Any], index: int, later: int | None
) -> None:
    receipt = WORLD.receipt(5, index, later=later)

    proven = documented["check"](receipt.encode(), GENESIS.to_json())

    assert proven == {
        "id": receipt.transaction.id.hex(),
        "sender": receipt.transaction.sender.hex(),
        "payload": receipt.transaction.payload,
        "height": 5,
        "time": receipt.header.time,
        "code": 0,
        "value": receipt.result.value,
        "signers": [0, 1, 3],
    }


def test_the_documented_verifier_reads_a_rejection(documented: dict[str, Any]) -> None:
    world = World()
    world.execute(world.transaction("delete nothing"))
    receipt: Receipt = world.receipt(1, 0)

    proven = documented["check"](receipt.encode(), GENESIS.to_json())

    assert (proven["code"], proven["value"]) == (receipt.result.code, receipt.result.reason)


@pytest.mark.parametrize("later", [None, 11])
def test_the_documented_verifier_refuses_every_flipped_byte(documented: dict[str, Any], later: int | None) -> None:
    encoded = WORLD.receipt(5, 1, later=later).encode()
    verify_receipt(encoded, GENESIS, Ed25519Verifier())

    for at in range(len(encoded)):
        flipped = encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the libraries raise: it must not be accepted
            documented["check"](flipped, GENESIS.to_json())


def test_the_documented_verifier_refuses_another_group(documented: dict[str, Any]) -> None:
    other = a_genesis(members=[GENESIS.replicas[0].signing_key])

    with pytest.raises(Exception, match=r"[Ss]ignature"):
        documented["check"](WORLD.receipt(5, 1).encode(), other.to_json())
