"""What clients ask and replicas answer in the words of transcripts, beside what replicas say to one another.

`r` is the number that a client gave its request, which the answers repeat. A transaction is called by its payload. What
comes as proof and is none is called *unproven*: judged as clients do it, by the same `ledger.proofs`.
"""

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from bftledger.apps.machine import Result, StateMachine
from bftledger.base import transaction
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BftLedgerError, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger import client_wire
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    BlockReply,
    BlocksReply,
    Busy,
    Committed,
    ErrorReply,
    Fate,
    HeightReply,
    Query,
    QueryReply,
    ReceiptReply,
    Refused,
    Reply,
    Request,
    StatusReply,
    Submit,
)
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.receipt import Receipt
from bftledger.sim.describe import MAX_LISTED, MAX_PAYLOAD_LENGTH, Describer, clean

_UNPROVEN: Final = " unproven"


class Dialogue(Describer):
    """A `Describer` that knows clients' messages, too. Show it everything in the order in which it was sent."""

    def __init__(
        self,
        genesis: Genesis,
        machine: StateMachine,
        verifier: Verifier,
        show: Callable[[bytes], str],
        cores: Mapping[ReplicaId, ReplicaId] | None = None,
    ) -> None:
        """`machine`: the group's application. `show`, `cores`: as of `Describer`."""
        super().__init__(genesis.genesis_hash, show, cores)
        self._genesis = genesis
        self._machine = machine
        self._proofs = Proofs(genesis, machine, verifier)
        self._submitted: dict[TxId, Transaction] = {}
        self._asked: dict[tuple[int, int], Request] = {}

    def read_request(self, client: int, frame: bytes) -> Request | Malformed:
        """What the client asks, kept for the answers; or why it is nothing."""
        try:
            request = client_wire.decode_request(frame)
            if isinstance(request, Submit):
                submitted = transaction.decode(request.transaction, self._genesis.genesis_hash)
                self._submitted.setdefault(submitted.id, submitted)
        except Malformed as error:
            return error
        self._asked[client, request.request_id] = request
        return request

    @staticmethod
    def read_reply(frame: bytes) -> Reply | Malformed:
        """What a client is answered, or why it is nothing."""
        try:
            return client_wire.decode_reply(frame)
        except Malformed as error:
            return error

    # ── in one line ──

    def request(self, request: Request) -> str:
        """A request in one line."""
        r = f"r{request.request_id}"
        match request:
            case Submit():
                return f"SUBMIT {r} {self.submitted(request)}"
            case AskFate():
                return f"ASK-FATE {r} {self.transaction(request.tx_id)}"
            case AskReceipt():
                return f"ASK-RECEIPT {r} {self.transaction(request.tx_id)}"
            case Query():
                proof = ", with proof" if request.certified else ""
                return f"QUERY n{request.minimum} {r} {self.arguments(request.args)}{proof}"
            case AskHeight():
                return f"ASK-HEIGHT n{request.minimum} {r}"
            case AskBlock():
                return f"ASK-BLOCK n{request.height} {r}"
            case AskBlocks():
                return f"ASK-BLOCKS {r} {request.count} at most"
            case AskStatus():
                return f"ASK-STATUS {r}"
            case _:
                assert_never(request)

    def reply(self, client: int, reply: Reply) -> str:
        """An answer to the client in one line."""
        flaw = _UNPROVEN if self.doubt(client, reply) else ""
        match reply:
            case Committed():
                items = [f"r{i.request_id} {self.transaction(i.tx_id)}: {self.result(i.result)}" for i in reply.items]
                block = f"n{reply.header.height}{self._known(reply.header.height, reply.header.hash)}"
                return f"COMMITTED {block}{flaw} {_listed(items)}"
            case Fate():
                height = f" n{reply.height}" if reply.height else ""
                reason = f" ({clean(reply.reason)})" if reply.reason else ""
                state = reply.state.name.lower()
                return f"FATE{height} r{reply.request_id} {self.transaction(reply.tx_id)}: {state}{reason}"
            case Refused():
                return f"REFUSED r{reply.request_id} code {reply.code}: {clean(reply.reason)}"
            case Busy():
                return f"BUSY r{reply.request_id} for {reply.retry_ms} ms"
            case ReceiptReply():
                return f"RECEIPT{self._receipt(reply, flaw)}"
            case QueryReply():
                asked = self._asked.get((client, reply.request_id))
                of = f" {self.arguments(asked.args)}" if isinstance(asked, Query) else ""
                return f"VALUE n{reply.height}{flaw} r{reply.request_id}{of}: {self.value(asked, reply.value)}"
            case HeightReply():
                block = f"n{reply.header.height}{self._known(reply.header.height, reply.header.hash)}"
                return f"HEIGHT {block}{flaw} r{reply.request_id}"
            case BlockReply():
                return f"BLOCK{self._block_in(reply)}{flaw} r{reply.request_id}"
            case BlocksReply():
                heights = [header.height for header in reply.headers]
                some = f"n{heights[0]} to n{heights[-1]}" if heights else "none"
                return f"HEADERS {some}{flaw} r{reply.request_id}"
            case StatusReply():
                place = f"stable n{reply.stable} executed n{reply.executed} pending {reply.pending}"
                return f"STATUS v{reply.view} r{reply.request_id} {place}"
            case ErrorReply():
                return f"ERROR r{reply.request_id} {clean(reply.text)}"
            case _:
                assert_never(reply)

    def submitted(self, request: Submit) -> str:
        """What a transaction that was read in a request is called."""
        return self.transaction(transaction.decode(request.transaction, self._genesis.genesis_hash).id)

    def transaction(self, tx_id: TxId) -> str:
        """What a transaction is called: by its payload, if it was seen."""
        known = self._submitted.get(tx_id)
        return f"t:{tx_id[6:10].hex()}" if known is None else self.batch([known.payload])

    def arguments(self, args: bytes) -> str:
        """Those of a query."""
        return clean(args.decode(errors="replace"), MAX_PAYLOAD_LENGTH)

    def result(self, encoded: bytes) -> str:
        """What a transaction came to, as it is claimed."""
        try:
            result = Result.decode(encoded)
        except Malformed as error:
            return f"no result, {clean(str(error))}"
        words = self._machine.show_result(result.value) if result.ok else f"code {result.code}, {result.reason}"
        return clean(words, MAX_PAYLOAD_LENGTH)

    def value(self, asked: Request | None, value: bytes | None) -> str:
        """What a key holds, as it is claimed."""
        if value is None:
            return "nothing"
        try:
            key = self._machine.query_key(asked.args if isinstance(asked, Query) else b"")
            fields = self._machine.show_value(key, value)
        except BftLedgerError:
            return f"{len(value)} bytes that are no value"
        told = (name for name, field in fields.items() if field is not True and field != self.arguments(key))
        return clean(", ".join(f"{name} {fields[name]}" for name in told), 2 * MAX_PAYLOAD_LENGTH)

    def _receipt(self, reply: ReceiptReply, flaw: str) -> str:
        try:
            receipt = Receipt.decode(reply.receipt, self._genesis.genesis_hash)
        except Malformed as error:
            return f" r{reply.request_id} that is none, {clean(str(error))}"
        height = receipt.header.height
        block = f" n{height}{self._known(height, receipt.header.hash)}"
        payload = self.batch([receipt.transaction.payload])
        return f"{block}{flaw} r{reply.request_id} {payload}: {self.result(receipt.result.encode())}"

    def _block_in(self, reply: BlockReply) -> str:
        try:
            block = Block.decode(reply.block)
        except Malformed:
            return " that is none"
        return f" n{block.height}{self._known(block.height, block.hash)}"

    # ── what it proves ──

    def doubt(self, client: int, reply: Reply) -> str:
        """Why the client does not believe what should be a proof; nothing if it does, or if there is no proof in it."""
        try:
            self._verify(client, reply)
        except BftLedgerError as error:
            return clean(str(error))
        return ""

    def _verify(self, client: int, reply: Reply) -> None:
        if isinstance(reply, Committed):
            self._proofs.header(reply.header, reply.certificate)
            for item in reply.items:
                if (known := self._submitted.get(item.tx_id)) is not None:
                    self._proofs.committed(reply.header, reply.certificate, item, known)
            return
        match reply, self._asked.get((client, reply.request_id)):
            case ReceiptReply(), AskReceipt(tx_id=tx_id):
                self._proofs.receipt(reply.receipt, tx_id)
            case QueryReply(), Query(certified=True) as query:
                self._proofs.read(reply, self._machine.query_key(query.args), query.minimum)
            case HeightReply() | BlockReply(), AskHeight(minimum=minimum):
                self._proofs.height(reply, minimum)
            case BlockReply(), AskBlock(height=height):
                self._proofs.block(reply, height)
            case BlocksReply(), AskBlocks(count=count):
                self._proofs.blocks(reply, count)

    def _known(self, height: Seq, block_hash: Digest) -> str:
        """As `_block`, but what a client is told is no reason to take it for the block of that height."""
        return "" if self._blocks.get(height, block_hash) == block_hash else f" d:{block_hash.hex()[:8]}"


def _listed(items: list[str]) -> str:
    """The first ones, and how many follow."""
    more = len(items) - MAX_LISTED + 1
    shown = [*items[: MAX_LISTED - 1], f"and {more} more"] if more > 1 else items
    return "; ".join(shown) or "nothing"
