"""A group in one object: real keys, blocks, certificates and proofs; replicas that answer at once, or as a test says.

`Rehearsal` runs a session against it on a clock of its own, without sockets.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from bftledger.apps.load import load_machine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.base.transaction import Transaction, decode, sign
from bftledger.ledger import client_wire
from bftledger.ledger.asking import Asking, Timing
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    BlockReply,
    BlocksReply,
    Committed,
    CommittedItem,
    ErrorReply,
    Fate,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    ReceiptReply,
    Reply,
    Request,
    StatusReply,
    Submit,
    TxState,
)
from bftledger.ledger.executor import Executed, Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.receipt import Receipt
from bftledger.ledger.session import Action, Done, Send, Session
from bftledger.net.curve import TransportKey
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, CheckpointCertificate
from bftledger.pbft.proposals import make_proposal

START = Millis(1_000_000)
ALICE = Ed25519Signer(b"a" * 32)
SIGNERS = [Ed25519Signer(bytes([i + 1]) * 32) for i in range(4)]
TRANSPORT = [TransportKey(bytes([i + 1]) * 32) for i in range(4)]
GENESIS = Genesis(
    name="fake",
    created=START,
    app="kv",
    replicas=tuple(ReplicaKeys(SIGNERS[i].public_key, TRANSPORT[i].public) for i in range(4)),
)
ALL = tuple(ReplicaId(i) for i in range(4))

Answer = Callable[[Request], Iterable[Reply]]


def certify(height: Seq, block_hash: Digest, signers: Iterable[int] = (0, 1, 3)) -> CheckpointCertificate:
    signatures = []
    for i in signers:
        vote = Checkpoint(seq=height, block_hash=block_hash, replica=ReplicaId(i), signature=wire.UNSIGNED)
        signatures.append((ReplicaId(i), wire.sign(vote, SIGNERS[i], GENESIS.genesis_hash).signature))
    return CheckpointCertificate(seq=height, block_hash=block_hash, signatures=tuple(signatures))


@dataclass(frozen=True)
class Stored:
    executed: Executed
    certificate: CheckpointCertificate
    entries: tuple[tuple[bytes, bytes], ...]


class FakeGroup:
    """One ledger that all replicas share. `behave[i]` replaces replica i's answers; None: it is silent."""

    def __init__(self) -> None:
        self.machine = load_machine("kv", {})
        self._state, history = AuthenticatedMap(), History.empty()
        genesis = execute_genesis(GENESIS, self.machine, self._state, history)
        self.genesis_block = genesis.block
        self.places: dict[TxId, tuple[int, int]] = {}
        self.stored: dict[int, Stored] = {}
        self._executor = Executor(
            GENESIS, self.machine, self._state, lambda ids: set(ids) & set(self.places), history, genesis.block.header
        )
        self.behave: dict[int, Answer | None] = {}
        self.uncertified: set[int] = set()
        self._nonce = 0

    @property
    def height(self) -> int:
        return len(self.stored)

    def transaction(self, words: str = "put color blue", *, lifetime: int = 60_000) -> Transaction:
        self._nonce += 1
        return sign(
            ALICE,
            GENESIS.genesis_hash,
            nonce=self._nonce.to_bytes(8, "big"),
            created=START,
            expires=Millis(START + lifetime),
            payload=self.machine.parse(words.split()),
        )

    def decide(self, *transactions: Transaction) -> Executed:
        """The next block, certified."""
        executed = self._executor.execute(make_proposal(Millis(0), transactions))
        block = executed.block
        certificate = certify(block.height, block.hash)
        self.stored[block.height] = Stored(executed, certificate, tuple(self._state.items()))
        for index, transaction in enumerate(executed.transactions):
            self.places[transaction.id] = (block.height, index)
        return executed

    def answer(self, replica: int, frame: bytes) -> list[bytes]:
        """What the replica sends back."""
        request = client_wire.decode_request(frame)
        if replica not in self.behave:
            return [client_wire.encode(reply) for reply in self.honest(request, replica)]
        behaviour = self.behave[replica]
        return [] if behaviour is None else [client_wire.encode(reply) for reply in behaviour(request)]

    def honest(self, request: Request, replica: int = 0) -> list[Reply]:
        number = request.request_id
        match request:
            case Submit(transaction=data):
                transaction = decode(data, GENESIS.genesis_hash)
                if transaction.id not in self.places:
                    self.decide(transaction)
                return [self.committed(number, transaction.id)]
            case AskReceipt(tx_id=tx_id) if tx_id in self.places:
                return [ReceiptReply(request_id=number, receipt=self.receipt(tx_id).encode())]
            case AskReceipt(tx_id=tx_id) | AskFate(tx_id=tx_id):
                return [fate(number, tx_id, TxState.UNKNOWN)]
            case Query(certified=False):
                return [QueryReply(request_id=number, value=b"hearsay", height=Seq(self.height), proof=None)]
            case Query(args=args, minimum=minimum):
                return [self.read(number, args, self.height)] if minimum <= self.height else []
            case AskHeight(minimum=minimum):
                if minimum > self.height:
                    return []
                return [self.height_reply(number, self.height)]
            case AskBlock(height=height):
                return [self.block_reply(number, height)]
            case AskBlocks(count=count):
                return [self.blocks_reply(number, count)]
            case AskStatus():
                return [status(number, replica)]

    # ── replies ──

    def committed(self, number: int, tx_id: TxId) -> Committed:
        height, index = self.places[tx_id]
        stored = self.stored[height]
        block = stored.executed.block
        item = CommittedItem(
            request_id=number,
            tx_id=tx_id,
            position=index,
            result=block.results[index],
            transaction_path=block.transaction_paths[index],
            result_path=block.result_paths[index],
        )
        return Committed(header=block.header, certificate=stored.certificate, items=(item,))

    def receipt(self, tx_id: TxId) -> Receipt:
        height, index = self.places[tx_id]
        stored = self.stored[height]
        executed = stored.executed
        return Receipt(
            transaction=executed.transactions[index],
            result=executed.results[index],
            index=index,
            transaction_path=executed.block.transaction_paths[index],
            result_path=executed.block.result_paths[index],
            header=executed.block.header,
            certificate=stored.certificate,
        )

    def read(self, number: int, key: bytes, height: int) -> QueryReply:
        if height == 0:
            return QueryReply(request_id=number, value=None, height=Seq(0), proof=None)
        stored = self.stored[height]
        state = AuthenticatedMap(stored.entries)
        header = stored.executed.block.header
        proof = ReadProof(map_proof=state.prove(key), header=header, certificate=stored.certificate)
        return QueryReply(request_id=number, value=state.get(key), height=Seq(height), proof=proof)

    def height_reply(self, number: int, height: int) -> Reply:
        if height == 0:
            return BlockReply(request_id=number, block=self.genesis_block.encoded, certificate=None)
        stored = self.stored[height]
        return HeightReply(request_id=number, header=stored.executed.block.header, certificate=stored.certificate)

    def block_reply(self, number: int, height: int) -> Reply:
        if height not in self.stored:
            return ErrorReply(request_id=number, text=f"there is no block {height}")
        stored = self.stored[height]
        certificate = None if height in self.uncertified else stored.certificate
        return BlockReply(request_id=number, block=stored.executed.block.encoded, certificate=certificate)

    def blocks_reply(self, number: int, count: int) -> Reply:
        blocks = [self.stored[height].executed.block for height in range(self.height, 0, -1)]
        headers = tuple(block.header for block in [*blocks, self.genesis_block])[:count]
        certified = self.height and self.height not in self.uncertified
        certificate = self.stored[self.height].certificate if certified else None
        return BlocksReply(request_id=number, headers=headers, certificate=certificate)


def fate(number: int, tx_id: TxId, state: TxState) -> Fate:
    return Fate(request_id=number, tx_id=tx_id, state=state, height=Seq(0), reason="")


def status(number: int, replica: int, view: int = 0) -> StatusReply:
    return StatusReply(
        request_id=number,
        replica=ReplicaId(replica),
        view=View(view),
        active=True,
        primary=ReplicaId(view % 4),
        stable=Seq(0),
        executed=Seq(0),
        pending=0,
        heard=15,
        uptime_ms=Millis(1),
        version="1",
    )


def alive_but(answer: Answer) -> Answer:
    """Answers AskStatus, and everything else as `answer` says."""

    def answers(request: Request) -> Iterable[Reply]:
        return [status(request.request_id, 0)] if isinstance(request, AskStatus) else answer(request)

    return answers


def nothing(_: Request) -> list[Reply]:
    return []


def tampered(reply: Committed) -> Committed:
    """Another result than the one that the block holds."""
    item = reply.items[0]._replace(result=b"\x82\x00\x41X")
    return replace(reply, items=(item,))


class Rehearsal:
    """A session, its group, and a clock that jumps to whatever is due next. `log`: (time, replica, request's class)."""

    def __init__(self, group: FakeGroup, timing: Timing | None = None) -> None:
        self.group = group
        self.now = Millis(0)
        self.session = Session(Proofs(GENESIS, group.machine, Ed25519Verifier()), timing)
        self.log: list[tuple[int, int, str]] = []
        self.answers: dict[int, object] = {}

    def run(self, asking: Asking[Any]) -> None:
        """Until the question has its answer."""
        self._perform(self.session.begin(asking, self.now))
        while asking.request_id not in self.answers:
            due = self.session.due
            assert due is not None, "an open question is looked at again"
            assert due > self.now, "time goes on"
            self.now = due
            self._perform(self.session.tick(self.now))

    def asked(self, kind: type) -> list[tuple[int, int]]:
        """When whom was sent such a request."""
        return [(at, replica) for at, replica, name in self.log if name == kind.__name__]

    def _perform(self, actions: list[Action]) -> None:
        waiting = list(actions)
        while waiting:
            action = waiting.pop(0)
            match action:
                case Send(replica, frame):
                    self.log.append((self.now, replica, type(client_wire.decode_request(frame)).__name__))
                    for reply in self.group.answer(replica, frame):
                        waiting += self.session.receive(replica, reply, self.now)
                case Done(request_id, answer):
                    assert request_id not in self.answers, "a question is answered once"
                    self.answers[request_id] = answer
