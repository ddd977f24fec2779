"""Transactions, receipts and blocks in the words of the command line, for people and for programs."""

from typing import Any

from bftledger.apps.load import load_machine
from bftledger.apps.machine import Result, StateMachine
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import TxId
from bftledger.base.transaction import TX_ID_BYTES, Transaction
from bftledger.cli.output import when
from bftledger.ledger.block import Header
from bftledger.ledger.outcome import Outcome
from bftledger.ledger.receipt import Receipt


def machine_of(genesis: Genesis) -> StateMachine:
    """The group's application. Raises `OperatorError` if it is not installed here."""
    return load_machine(genesis.app, genesis.app_params)


class Words:
    """The application's words for payloads and results; hexadecimal digits where it is not installed."""

    def __init__(self, genesis: Genesis) -> None:
        self._machine: StateMachine | None
        try:
            self._machine = machine_of(genesis)
        except OperatorError:
            self._machine = None

    def operation(self, payload: bytes) -> str:
        """What a transaction asks for."""
        return self._machine.show(payload) if self._machine else payload.hex()

    def result(self, result: Result) -> str:
        """What it came to."""
        if not result.ok:
            return result.reason
        return self._machine.show_result(result.value) if self._machine else result.value.hex()


def parse_tx_id(text: str) -> TxId:
    """The id whose hexadecimal digits are `text`. Raises `OperatorError`."""
    try:
        tx_id = bytes.fromhex(text)
    except ValueError:
        tx_id = b""
    if len(tx_id) != TX_ID_BYTES or len(text) != 2 * TX_ID_BYTES:
        raise OperatorError(f"{text!r} is not a transaction's id: give all its {2 * TX_ID_BYTES} hexadecimal digits")
    return TxId(tx_id)


def transaction(tx: Transaction, result: Result, words: Words) -> dict[str, Any]:
    """A transaction in a block, and what it came to, for programs."""
    return {
        "tx": tx.id.hex(),
        "state": "committed" if result.ok else "rejected",
        "operation": words.operation(tx.payload),
        "result": words.result(result) if result.ok else None,
        "code": result.code,
        "reason": result.reason,
        "sender": tx.sender.hex(),
        "created_ms": tx.created,
        "expires_ms": tx.expires,
    }


def receipt(proof: Receipt, words: Words) -> dict[str, Any]:
    """What a receipt proves, and by whom, for programs."""
    certified = proof.later or proof.header
    return {
        **transaction(proof.transaction, proof.result, words),
        "height": proof.header.height,
        "index": proof.index,
        "time_ms": proof.header.time,
        "block": proof.header.hash.hex(),
        "certified_height": certified.height,
        "signers": signers(proof),
    }


def receipt_fields(proof: Receipt, words: Words) -> dict[str, object]:
    """The same for people."""
    certified = proof.later or proof.header
    return {
        "id": proof.transaction.id,
        "operation": words.operation(proof.transaction.payload),
        "result" if proof.result.ok else "reason": words.result(proof.result),
        "block": f"{proof.header.height}, {when(proof.header.time)}",
        "sender": proof.transaction.sender,
        "signed by": f"replicas {', '.join(str(i) for i in signers(proof))}"
        + (f", in block {certified.height}" if proof.later else ""),
    }


def signers(proof: Receipt) -> list[int]:
    """The replicas that signed it."""
    return sorted(int(signer) for signer, _ in proof.certificate.signatures)


def outcome(found: Outcome, words: Words) -> dict[str, Any]:
    """What became of a transaction, for programs."""
    if found.receipt is not None:
        return receipt(found.receipt, words)
    answer: dict[str, Any] = {
        "tx": found.tx_id.hex(),
        "state": found.state.value.replace(" ", "_"),
        "reason": str(found),
    }
    if found.retry_ms:
        answer["retry_ms"] = found.retry_ms
    return answer


def header(block: Header) -> dict[str, Any]:
    """A block's header, for programs."""
    return {
        "height": block.height,
        "block": block.hash.hex(),
        "time_ms": block.time,
        "transactions": block.count,
        "previous": block.previous.hex(),
        "transactions_root": block.transactions_root.hex(),
        "results_root": block.results_root.hex(),
        "state_root": block.state_root.hex(),
        "history_root": block.history_root.hex(),
    }
