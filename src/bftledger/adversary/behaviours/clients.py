"""Replicas that lie to clients, let them wait, or send them away (OSDI'99 §4.1)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, assert_never

from bftledger.adversary.behaviour import Behaviour, Scene
from bftledger.apps.machine import INADMISSIBLE, OK, Result
from bftledger.base.crypto import SIGNATURE_BYTES
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature, TxId, View
from bftledger.ledger.block import Header
from bftledger.ledger.client_messages import (
    BlockReply,
    BlocksReply,
    Busy,
    Committed,
    CommittedItem,
    ErrorReply,
    Fate,
    HeightReply,
    QueryReply,
    ReceiptReply,
    Refused,
    Reply,
    Request,
    StatusReply,
    TxState,
)
from bftledger.ledger.receipt import Receipt
from bftledger.pbft.messages import CheckpointCertificate, Message, Relay

LONGEST_RETRY: Final = Millis(3_600_000)
WRONG_RESULT: Final = Result(OK, value=b"a lie").encode()


class LieReplies(Behaviour):
    """Tells clients what is not so."""

    name = "lie-replies"
    does = (
        "Its replies to clients hold forged receipts and results, other blocks and headers, wrong values and heights, "
        "cut proofs, and it says of transactions that they expired, were refused, or are in the ledger."
    )
    stopped_by = (
        "A client believes a proof, or what f+1 replicas say (§4.1); never what one replica says without proof."
    )
    shows = "Every client learns the truth from another replica; the lies are counted as unproven."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._oldest: tuple[Header, CheckpointCertificate] | None = None
        self._read_first: QueryReply | None = None

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        match reply:
            case Committed():
                self._oldest = self._oldest or (reply.header, reply.certificate)
                return self._of_committed(reply)
            case ReceiptReply():
                return (replace(reply, receipt=self._receipt(reply.receipt)),)
            case Fate():
                return (self._fate(reply.request_id, reply.tx_id, reply.state),)
            case QueryReply():
                return (self._read(reply),)
            case HeightReply():
                return (self._height(reply),)
            case BlockReply():
                return (self._block(reply),)
            case BlocksReply():
                return (self._blocks(reply),)
            case StatusReply():
                return (self._status(reply),)
            case Refused() | Busy() | ErrorReply():
                return (ErrorReply(request_id=reply.request_id, text="there is no such thing"),)
            case _:
                assert_never(reply)

    # ── transactions ──

    def _of_committed(self, reply: Committed) -> Iterable[Reply]:
        match self.scene.chance.randrange(7):
            case 0:
                return (self._with_items(reply, lambda item: item._replace(result=WRONG_RESULT)),)
            case 1:
                return (
                    self._with_items(reply, lambda item: item._replace(transaction_path=b"", result_path=bytes(32))),
                )
            case 2:
                return (self._with_items(reply, lambda item: item._replace(position=item.position + 1)),)
            case 3:
                return (replace(reply, header=self._other(reply.header)),)
            case 4:
                header = self._other(reply.header)
                return (replace(reply, header=header, certificate=self._forged(reply.certificate, header)),)
            case 5:
                return (self._fate(item.request_id, item.tx_id, TxState.COMMITTED) for item in reply.items)
            case _:
                return (
                    Refused(request_id=item.request_id, code=INADMISSIBLE, reason="it is not wanted here")
                    for item in reply.items
                )

    @staticmethod
    def _with_items(reply: Committed, lie: Callable[[CommittedItem], CommittedItem]) -> Committed:
        return replace(reply, items=tuple(lie(item) for item in reply.items))

    def _receipt(self, encoded: bytes) -> bytes:
        try:
            receipt = Receipt.decode(encoded, self.scene.group.genesis_hash)
        except Malformed:  # another behaviour has falsified it already
            return encoded
        match self.scene.chance.randrange(5):
            case 0:
                return encoded[: len(encoded) // 2]
            case 1:
                return replace(receipt, result=Result(OK, value=b"a lie")).encode()
            case 2:
                return replace(receipt, transaction=self.scene.transaction()).encode()
            case 3:
                header = self._other(receipt.header)
                return replace(receipt, header=header, certificate=self._forged(receipt.certificate, header)).encode()
            case _:
                return replace(receipt, history_path=bytes(64), later=self._other(receipt.header)).encode()

    def _fate(self, request_id: int, tx_id: TxId, true: TxState) -> Fate:
        state = self.scene.chance.choice([state for state in TxState if state is not true])
        height = Seq(self.scene.chance.randint(1, 1_000)) if state in (TxState.COMMITTED, TxState.REJECTED) else Seq(0)
        return Fate(request_id=request_id, tx_id=tx_id, state=state, height=height, reason="so it is said")

    # ── reads ──

    def _read(self, reply: QueryReply) -> QueryReply:
        proof = reply.proof
        self._read_first = self._read_first or reply
        match self.scene.chance.randrange(6):
            case 0:
                return replace(reply, value=b"a lie")
            case 5:  # true once, and perhaps of this key
                return replace(self._read_first, request_id=reply.request_id)
            case 1:
                return replace(reply, value=None if reply.value else b"a lie")
            case 2 if proof is not None:
                cut = replace(proof.map_proof, levels=proof.map_proof.levels[1:], bucket=proof.map_proof.bucket[:64])
                return replace(reply, value=b"a lie", proof=replace(proof, map_proof=cut))
            case 3 if proof is not None:
                header = self._other(proof.header)
                forged = self._forged(proof.certificate, header)
                return replace(reply, height=header.height, proof=replace(proof, header=header, certificate=forged))
            case _:
                return replace(reply, height=Seq(reply.height + 1), proof=None)

    def _height(self, reply: HeightReply) -> HeightReply:
        """Once a height that is not there, once a true one of long ago: the other replicas' are higher."""
        if self._oldest is not None and self.scene.chance.random() < 0.5:
            header, certificate = self._oldest
            return replace(reply, header=header, certificate=certificate)
        higher = replace(reply.header, height=Seq(reply.header.height + 1_000))
        return replace(reply, header=higher, certificate=self._forged(reply.certificate, higher))

    def _block(self, reply: BlockReply) -> BlockReply:
        match self.scene.chance.randrange(3):
            case 0:
                return replace(reply, block=reply.block[:-1])
            case 1:
                return replace(reply, block=reply.block[:-1] + bytes([reply.block[-1] ^ 1]), certificate=None)
            case _:
                return replace(reply, block=self.scene.engine.ledger.genesis.block.encoded)

    def _blocks(self, reply: BlocksReply) -> BlocksReply:
        match self.scene.chance.randrange(4):
            case 0:
                return replace(reply, headers=reply.headers[1:])
            case 1:
                return replace(reply, headers=reply.headers[::-1])
            case 2:
                return replace(reply, headers=tuple(self._other(header) for header in reply.headers))
            case _:
                return replace(reply, headers=())

    def _status(self, reply: StatusReply) -> StatusReply:
        """Sends clients that believe it to itself for ever."""
        view = View(reply.view + 1_000 * self.scene.group.n + self.scene.me)
        primary = self.scene.group.primary(view)
        far = Seq(reply.executed + 1_000)
        return replace(reply, view=view, primary=primary, stable=far, executed=far, active=not reply.active)

    # ── forgeries ──

    def _other(self, header: Header) -> Header:
        """The header as it would be of another block."""
        return replace(header, state_root=Digest(self.scene.chance.randbytes(32)))

    def _forged(self, certificate: CheckpointCertificate, header: Header) -> CheckpointCertificate:
        """About that header, with the signatures that were there, or random ones."""
        forged = certificate.signatures
        if self.scene.chance.random() < 0.5:
            forged = tuple((i, Signature(self.scene.chance.randbytes(SIGNATURE_BYTES))) for i, _ in forged)
        return replace(certificate, seq=header.height, block_hash=header.hash, signatures=forged)


class SilentReplies(Behaviour):
    """Answers no client, and passes nothing of theirs on."""

    name = "silent-replies"
    does = "It takes clients' transactions, passes none on, and answers nobody."
    stopped_by = "A client turns to all replicas when the first is silent (§4.1)."
    shows = "Every client is answered by another replica after its patience is over."

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        return ()

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Relay):
            yield message


class FalseBusy(Behaviour):
    """Has never time."""

    name = "false-busy"
    does = "It passes no transaction on, and tells every client that it is busy and to come back in an hour."
    stopped_by = "Who hears BUSY asks the next replica at once; it waits for none of them (§4.1)."
    shows = "Every client is answered by another replica."

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        numbers = [item.request_id for item in reply.items] if isinstance(reply, Committed) else [reply.request_id]
        return (Busy(request_id=number, retry_ms=LONGEST_RETRY) for number in numbers)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Relay):
            yield message


class Favourites(Behaviour):
    """Serves whom it likes."""

    name = "favourites"
    does = "It takes no request at all from about half of the clients' connections."
    stopped_by = "A client turns to all replicas when the first is silent (§4.1)."
    shows = "Every client is answered, by it or by another replica."

    def takes_request(self, route: bytes, request: Request) -> bool:
        return sum(route) % 2 == 0


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (LieReplies, SilentReplies, FalseBusy, Favourites)
