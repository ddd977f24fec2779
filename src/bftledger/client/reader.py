"""Reading a ledger, for asyncio programs: what can be asked of a group, and what each answer is worth."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeVar, cast

from bftledger.apps.load import load_machine
from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, ReplicaId, Seq, TxId
from bftledger.client.conversation import Conversation
from bftledger.ledger.asking import Timing
from bftledger.ledger.block import MAX_HEIGHT, Block, Header
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskHeight,
    AskStatus,
    BlockReply,
    BlocksReply,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    Reply,
    Request,
    StatusReply,
)
from bftledger.ledger.client_wire import MAX_ARGS_BYTES, MAX_SUMMARIES
from bftledger.ledger.outcome import NoAnswer, NotFound, Outcome, State
from bftledger.ledger.proofs import Proofs, RememberingVerifier
from bftledger.ledger.question import Judge
from bftledger.ledger.receipt import Receipt
from bftledger.ledger.session import Session
from bftledger.net.dealer import ReplicaAddress

A = TypeVar("A")

Read = Literal["certified", "linearizable", "local"]
"""`certified`: one replica's answer with its proof, as of a height that it says. `linearizable`: also no older than
anything that was acknowledged before the question. `local`: what one replica says, unproven."""

DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_PATIENCE_S: Final = 0.5
DEFAULT_LIFETIME_S: Final = 60.0
DEFAULT_STATUS_TIMEOUT_S: Final = 1.0

_VERIFIER: Final = RememberingVerifier(Ed25519Verifier())
"""Of all clients of the process: a block's certificate is verified once, however many connections bring it."""

_UNCERTIFIED_RUN: Final = 64
"""Above a block without a certificate anywhere, so many are looked through for one that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the state holds under `key` after block `height`: `value`, or None if there is nothing.

    `proof` is what proves it, and was verified; None for a `local` read, which is only what `replica` says.
    """

    key: bytes
    value: bytes | None
    height: Seq
    proof: ReadProof | None
    replica: ReplicaId


class Reader:
    """A connection to a group that needs no key: it reads, and proves what it reads.

    All methods that ask the group raise `NoAnswer` if it does not answer in time, except those that return an
    `Outcome`, which says so itself. Times are in seconds. Belongs to the event loop that it was opened in.
    """

    def __init__(
        self,
        genesis: Genesis,
        addresses: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        patience: float = DEFAULT_PATIENCE_S,
        machine: StateMachine | None = None,
    ) -> None:
        """`addresses`: where clients reach each replica, by replica id. `timeout`: how long to try before giving up.

        `patience`: how long one replica is waited for before all are asked. `machine`: the genesis' application, for
        who has made it already. Connects in `async with`.

        Raises `OperatorError` if the application cannot be loaded or the addresses are not as many as the replicas.
        """
        if len(addresses) != genesis.group.n:
            raise OperatorError(f"{len(addresses)} addresses for {genesis.group.n} replicas: give one for each")
        if timeout <= 0 or patience <= 0:
            raise OperatorError("a time-out of the client is not positive: give seconds above 0")
        self.genesis: Final = genesis
        self.machine: Final = machine or load_machine(genesis.app, genesis.app_params)
        self.timeout: Final = timeout
        replicas = {
            ReplicaId(i): ReplicaAddress(address, genesis.replicas[i].transport_key)
            for i, address in enumerate(addresses)
        }
        patience_ms = Millis(round(patience * 1_000))
        timing = Timing(patience_ms=patience_ms, resend_ms=Millis(2 * patience_ms), probe_ms=patience_ms)
        self._proofs: Final = Proofs(genesis, self.machine, _VERIFIER)
        self._session: Final = Session(self._proofs, timing, random.random)
        self._conversation: Final = Conversation(self._session, replicas)

    async def __aenter__(self) -> Self:
        self._conversation.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; who still waits for an answer gets ConnectionError. May be called twice."""
        await self._conversation.close()

    @property
    def dropped(self) -> Counter[str]:
        """How many replies were not used, by reason: see `Session.dropped`."""
        return self._session.dropped

    # ── transactions ──

    async def fate(self, tx_id: TxId, timeout: float | None = None) -> Outcome:
        """What became of a transaction, anybody's."""
        return await self._conversation.ask(self._session.fate(tx_id, self._millis(timeout)))

    async def receipt(self, tx_id: TxId, timeout: float | None = None) -> Receipt:
        """The receipt of a transaction that is in the ledger, verified; of a rejected one too.

        Raises `NotFound` if it is not there, as far as a quorum knows.
        """
        outcome = await self.fate(tx_id, timeout)
        if outcome.receipt is not None:
            return outcome.receipt
        if outcome.state is State.NO_QUORUM:
            raise NoAnswer(alive=outcome.alive, replicas=outcome.replicas, needed=outcome.quorum)
        raise NotFound(str(outcome))

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def query(
        self, *what: bytes | str, read: Read = "certified", minimum: int = 0, timeout: float | None = None
    ) -> Reading:
        """What the state says, at height `minimum` or later. See `Read` for how much it is worth.

        `what`: the application's arguments as bytes, or words: `query("color")`. Raises `Rejected` or `OperatorError`
        if the application does not understand them.
        """
        args = one_or_words(what, self.machine.parse_query)
        if len(args) > MAX_ARGS_BYTES:
            raise OperatorError(f"the query is longer than {MAX_ARGS_BYTES} bytes: shorten it")
        key = self.machine.query_key(args)
        least = _height(minimum)
        deadline = self._deadline(timeout)
        if read == "linearizable":
            least = max(least, (await self._newest(least, deadline, self.genesis.group.quorum)).height)
        certified = read != "local"

        def judge(replica: ReplicaId, reply: Reply) -> Reading | None:
            if not isinstance(reply, QueryReply):
                return None
            if certified:
                self._proofs.read(reply, key, least)
            proof = reply.proof if certified else None
            return Reading(key=key, value=reply.value, height=reply.height, proof=proof, replica=replica)

        request = Query(request_id=self._session.next_id(), args=args, certified=certified, minimum=least)
        return await self._first(request, judge, deadline)

    def show(self, reading: Reading) -> dict[str, Any]:
        """A reading in the application's terms, as JSON-able values. Raises `Malformed` if it is not of its making."""
        return self.machine.show_value(reading.key, reading.value)

    async def height(self, minimum: int = 0, timeout: float | None = None) -> Seq:
        """The highest certified height that a quorum knows: no acknowledged transaction is in a later block."""
        return (await self._newest(_height(minimum), self._deadline(timeout), self.genesis.group.quorum)).height

    async def block(self, height: int, timeout: float | None = None) -> Block:
        """A block: certified, or named by the hashes of the blocks up to a certified one. Raises `NotFound`."""
        if _height(height) == 0:
            return self._proofs.genesis_block
        deadline = self._deadline(timeout)
        for above in range(height, height + _UNCERTIFIED_RUN):
            with_certificate = await self._certified_block(Seq(above), deadline)
            if with_certificate is not None:
                block = with_certificate
                while block.height > height:
                    block = await self._linked_block(block.header, deadline)
                return block
        raise NotFound(f"block {height} is not certified, and no block soon after it is: ask later")

    async def blocks(self, count: int = 10, timeout: float | None = None) -> tuple[Header, ...]:
        """The headers of at most `count` blocks, 1 … 256, the newest first, as one replica has them: certified."""
        if not 1 <= count <= MAX_SUMMARIES:
            raise OperatorError(f"{count} blocks cannot be asked for at once: ask for 1 to {MAX_SUMMARIES}")
        deadline = self._deadline(timeout)

        def judge(_: ReplicaId, reply: Reply) -> tuple[Header, ...] | None:
            if not isinstance(reply, BlocksReply):
                return None
            return self._proofs.blocks(reply, count) or ()

        headers = await self._first(AskBlocks(request_id=self._session.next_id(), count=count), judge, deadline)
        if headers:
            return headers

        # The newest block was not certified yet. Start from one that is, and ask for a few more to find it among them.
        certified = await self._newest(Seq(0), deadline, replicas=1)
        more = min(MAX_SUMMARIES, count + _UNCERTIFIED_RUN)

        def judge_below(_: ReplicaId, reply: Reply) -> tuple[Header, ...] | None:
            return self._proofs.blocks_below(reply, certified) if isinstance(reply, BlocksReply) else None

        request = AskBlocks(request_id=self._session.next_id(), count=more)
        return (await self._first(request, judge_below, deadline))[:count]

    async def status(self, timeout: float = DEFAULT_STATUS_TIMEOUT_S) -> dict[ReplicaId, StatusReply | None]:
        """How each replica says it is, None for those that say nothing in time. Never raises because of them."""

        def judge(_: ReplicaId, reply: Reply) -> StatusReply | None:
            return reply if isinstance(reply, StatusReply) else None

        request = AskStatus(request_id=self._session.next_id())
        replicas = self.genesis.group.replicas
        answers = await self._conversation.ask(
            self._session.question(request, judge, self._millis(timeout), len(replicas))
        )
        return {replica: answers.found.get(replica) for replica in replicas}

    async def _newest(self, minimum: Seq, deadline: float, replicas: int) -> Header:
        """The highest of the newest certified headers of so many replicas."""

        def judge(_: ReplicaId, reply: Reply) -> Header | None:
            return self._proofs.height(reply, minimum) if isinstance(reply, HeightReply | BlockReply) else None

        request = AskHeight(request_id=self._session.next_id(), minimum=minimum)
        return max((await self._answers(request, judge, deadline, replicas)).values(), key=lambda header: header.height)

    async def _certified_block(self, height: Seq, deadline: float) -> Block | None:
        """The block, or None if f+1 replicas have it without a certificate."""
        bare: set[ReplicaId] = set()

        def judge(replica: ReplicaId, reply: Reply) -> list[Block] | None:
            if not isinstance(reply, BlockReply):
                return None
            if reply.certificate is not None:
                return [self._proofs.block(reply, height)]
            bare.add(replica)
            return [] if len(bare) > self.genesis.group.f else None

        request = AskBlock(request_id=self._session.next_id(), height=height)
        found = await self._first(request, judge, deadline)
        return found[0] if found else None

    async def _linked_block(self, later: Header, deadline: float) -> Block:
        height = Seq(later.height - 1)

        def judge(_: ReplicaId, reply: Reply) -> Block | None:
            if not isinstance(reply, BlockReply):
                return None
            return self._proofs.linked_block(reply, height, later.previous)

        request = AskBlock(request_id=self._session.next_id(), height=height)
        return await self._first(request, judge, deadline)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _first(self, request: Request, judge: Judge[A], deadline: float) -> A:
        (answer,) = (await self._answers(request, judge, deadline, 1)).values()
        return answer

    async def _answers(self, request: Request, judge: Judge[A], deadline: float, needed: int) -> dict[ReplicaId, A]:
        timeout_ms = max(1, round((deadline - asyncio.get_running_loop().time()) * 1_000))
        answers = await self._conversation.ask(self._session.question(request, judge, timeout_ms, needed))
        if answers.complete:
            return answers.found
        if answers.refusal:
            raise NotFound(answers.refusal)
        raise NoAnswer(alive=answers.alive, replicas=self.genesis.group.n, needed=needed)

    def _deadline(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + self._millis(timeout) / 1_000

    def _millis(self, timeout: float | None) -> int:
        return max(1, round((self.timeout if timeout is None else timeout) * 1_000))


def one_or_words(what: tuple[bytes | str, ...], parse: Any) -> bytes:
    """Bytes as they are; words as the application parses them."""
    if len(what) == 1 and isinstance(what[0], bytes):
        return what[0]
    if not what or any(not isinstance(word, str) for word in what):
        raise OperatorError("give either one byte string or words of text")
    return cast(bytes, parse(what))


def _height(number: int) -> Seq:
    if not 0 <= number <= MAX_HEIGHT:
        raise OperatorError(f"{number} is not the height of a block: heights start at 0")
    return Seq(number)
