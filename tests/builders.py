"""What tests are made of: keys, transactions, signed messages of any replica, certificates, a replica with a past.

Everything is deterministic: keys follow from ids, and the signatures are real Ed25519 wherever `ED25519` is asked for,
a keyed hash otherwise (fast, and as unforgeable as honest test code needs).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeVar

from bftledger.base import transaction
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier, Signer, Verifier, tagged_hash
from bftledger.base.errors import BadSignature
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, PublicKey, ReplicaId, Seq, Signature, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import invariants, wire
from bftledger.pbft.certificates import make_checkpoint_certificate
from bftledger.pbft.effects import Effect, Halt
from bftledger.pbft.events import Delivered, Event, Received, TimerFired
from bftledger.pbft.evidence import bare
from bftledger.pbft.guilt import Signed
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    FetchBlocks,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Proposed,
    Relay,
    SlotStatus,
    Stable,
    Status,
    Testimony,
    ViewChange,
)
from bftledger.pbft.proposals import NULL_PROPOSAL, make_proposal
from bftledger.pbft.replica import Replica
from bftledger.pbft.rooms import Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import Timer
from bftledger.pbft.view_change import re_proposals

GENESIS = Digest(hashlib.sha256(b"the group of the tests").digest())
GENESIS_BLOCK = Digest(hashlib.sha256(b"block 0 of the tests").digest())
NOW = Millis(1_700_000_000_000)

T = TypeVar("T")


# ── keys ──


class FastSigner:
    """Signs with a hash keyed by the public key: whoever knows that can forge, which no test does unawares."""

    def __init__(self, seed: bytes) -> None:
        self.public_key = PublicKey(hashlib.sha256(b"fast" + seed).digest())

    def sign(self, message: bytes) -> Signature:
        return Signature(hashlib.blake2b(message, key=self.public_key).digest())


class FastVerifier:
    """Checks what `FastSigner` signs."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        if hashlib.blake2b(message, key=public_key).digest() != signature:
            raise BadSignature("the signature does not match")


@dataclass(frozen=True)
class Keys:
    """One way to sign, and everybody's keys in it."""

    make: Callable[[bytes], Signer]
    verifier: Verifier

    @cache  # noqa: B019 - there are two of these, and they live as long as the tests
    def signer(self, name: str) -> Signer:
        return self.make(hashlib.sha256(name.encode()).digest())

    @cache  # noqa: B019
    def group(self, n: int = 4) -> Group:
        return Group(GENESIS, tuple(self.signer(f"replica {i}").public_key for i in range(n)))


FAST = Keys(FastSigner, FastVerifier())
ED25519 = Keys(Ed25519Signer, Ed25519Verifier())


# ── transactions and proposals ──


BEGINNING: Final = Millis(0)
"""Nothing has expired by then."""


@cache
def tx(
    what: str = "pay bob", *, sender: str = "alice", keys: Keys = FAST, size: int = 0, expires: int = 60_000
) -> Transaction:
    """The transaction that says `what`: the same text is the same transaction."""
    payload = what.encode().ljust(size, b".")
    nonce = hashlib.sha256(what.encode()).digest()[: transaction.NONCE_BYTES]
    return transaction.sign(
        keys.signer(sender),
        GENESIS,
        nonce=nonce,
        created=Millis(NOW - 1),
        expires=Millis(NOW + expires),
        payload=payload,
    )


def proposal(of: str | Iterable[str] = "pay bob", *, time: int = NOW, keys: Keys = FAST) -> Proposal:
    """The proposal of these transactions; of none for ()."""
    texts = (of,) if isinstance(of, str) else tuple(of)
    return make_proposal(Millis(time), tuple(tx(text, keys=keys) for text in texts))


def block_hash(of: str | int) -> Digest:
    """A block's hash, as far as the core is concerned."""
    return tagged_hash("test-block", str(of).encode())


# ── messages ──


class Writer:
    """Writes the signed messages of a group; `n` replicas, `keys` of one kind."""

    def __init__(self, n: int = 4, keys: Keys = FAST) -> None:
        self.keys = keys
        self.group = keys.group(n)

    def signed(self, message: wire.M) -> wire.M:
        """`message` with the signature of the replica that it names."""
        return wire.sign(message, self.keys.signer(f"replica {message.replica}"), GENESIS)

    def _sign(self, kind: Callable[..., wire.M], by: int, **fields: Any) -> wire.M:
        return self.signed(kind(replica=ReplicaId(by), signature=wire.UNSIGNED, **fields))

    def _digest(self, of: str | Iterable[str] | None, time: int) -> Digest:
        return NULL_PROPOSAL.digest if of is None else proposal(of, time=time, keys=self.keys).digest

    def pre_prepare(
        self, *, seq: int = 1, of: str | Iterable[str] | None = "pay bob", view: int = 0, time: int = NOW
    ) -> PrePrepare:
        proposed = NULL_PROPOSAL if of is None else proposal(of, time=time, keys=self.keys)
        by = self.group.primary(View(view))
        message = self._sign(PrePrepare, by, view=View(view), seq=Seq(seq), digest=proposed.digest)
        return replace(message, proposal=proposed)

    def prepare(
        self, by: int, *, seq: int = 1, of: str | Iterable[str] | None = "pay bob", view: int = 0, time: int = NOW
    ) -> Prepare:
        return self._sign(Prepare, by, view=View(view), seq=Seq(seq), digest=self._digest(of, time))

    def commit(
        self, by: int, *, seq: int = 1, of: str | Iterable[str] | None = "pay bob", view: int = 0, time: int = NOW
    ) -> Commit:
        return self._sign(Commit, by, view=View(view), seq=Seq(seq), digest=self._digest(of, time))

    def checkpoint(self, by: int, *, seq: int = 1, block: Digest | None = None) -> Checkpoint:
        return self._sign(Checkpoint, by, seq=Seq(seq), block_hash=block or block_hash(seq))

    def certificate(
        self, seq: int = 1, *, block: Digest | None = None, by: Iterable[int] | None = None
    ) -> CheckpointCertificate:
        """A quorum's word for block `seq`: the replicas `by`, or the first ones."""
        signers = range(self.group.quorum) if by is None else by
        votes = {ReplicaId(i): self.checkpoint(i, seq=seq, block=block) for i in signers}
        return make_checkpoint_certificate(votes, self.group)

    def prepared(
        self, *, seq: int = 1, of: str | Iterable[str] | None = "pay bob", view: int = 0
    ) -> PreparedCertificate:
        """The prepared certificate that the first backups of the view make."""
        primary = self.group.primary(View(view))
        backups = [i for i in range(self.group.n) if i != primary][: self.group.quorum - 1]
        votes = tuple((ReplicaId(i), self.prepare(i, seq=seq, of=of, view=view).signature) for i in backups)
        return PreparedCertificate(
            pre_prepare=replace(self.pre_prepare(seq=seq, of=of, view=view), proposal=None), prepares=votes
        )

    def view_change(
        self,
        by: int,
        *,
        view: int = 1,
        stable: CheckpointCertificate | None = None,
        prepared: Iterable[PreparedCertificate] = (),
    ) -> ViewChange:
        return self._sign(ViewChange, by, view=View(view), stable=stable, prepared=tuple(prepared))

    def new_view(self, changes: Iterable[ViewChange], *, assigning: list[tuple[int, Digest]] | None = None) -> NewView:
        """The NEW-VIEW that follows from these view changes, or one that assigns something else."""
        used = tuple(sorted(changes, key=lambda change: change.replica))
        view = used[0].view
        by = self.group.primary(view)
        assigned = re_proposals(used)[1] if assigning is None else [(Seq(seq), digest) for seq, digest in assigning]
        pre_prepares = tuple(self._sign(PrePrepare, by, view=view, seq=seq, digest=digest) for seq, digest in assigned)
        return self._sign(NewView, by, view=view, view_changes=used, pre_prepares=pre_prepares)

    def status(
        self,
        by: int,
        *,
        view: int = 0,
        active: bool = True,
        stable: int = 0,
        stable_hash: Digest | None = None,
        executed: int = 0,
        executed_hash: Digest | None = None,
        slots: Iterable[SlotStatus] = (),
        view_changes: int = 0,
        convicted: Iterable[int] = (),
    ) -> Status:
        return self._sign(
            Status,
            by,
            view=View(view),
            active=active,
            stable=Seq(stable),
            stable_hash=stable_hash,
            executed=Seq(executed),
            executed_hash=executed_hash,
            slots=tuple(slots),
            view_changes=view_changes,
            convicted=sum(1 << i for i in convicted),
        )

    def relay(self, by: int, *of: str) -> Relay:
        return self._sign(Relay, by, transactions=tuple(tx(text, keys=self.keys) for text in of))

    def stable(self, by: int, certificate: CheckpointCertificate) -> Stable:
        return self._sign(Stable, by, certificate=certificate)

    def fetch_proposal(self, by: int, *, seq: int = 1, of: str | Iterable[str] = "pay bob") -> FetchProposal:
        return self._sign(FetchProposal, by, seq=Seq(seq), digest=self._digest(of, NOW))

    def proposed(self, by: int, *, seq: int = 1, of: str | Iterable[str] = "pay bob") -> Proposed:
        return self._sign(Proposed, by, seq=Seq(seq), proposal=proposal(of, keys=self.keys))

    def fetch_blocks(self, by: int, *, first: int = 1) -> FetchBlocks:
        return self._sign(FetchBlocks, by, first=Seq(first))

    def testimony(self, by: int, *messages: Signed) -> Testimony:
        return self._sign(Testimony, by, messages=tuple(bare(message) for message in messages))

    def blocks(
        self, by: int, certificate: CheckpointCertificate, *, first: int = 1, blocks: Iterable[bytes] = (b"block",)
    ) -> Blocks:
        return self._sign(
            Blocks, by, first=Seq(first), blocks=tuple(blocks), headers=(b"header",), certificate=certificate
        )


# ── a replica with a past ──


class TestedReplica(Replica):
    """A replica whose invariants are checked after each step, and whose past can be told in one line."""

    __test__ = False

    def having(self, *past: Message | Event) -> "TestedReplica":
        """The replica after all this happened."""
        for event in past:
            self.take(event)
        return self

    def take(self, event: Message | Event, now: Millis = NOW) -> tuple[Effect, ...]:
        """One step; a message is an event here."""
        return self.step(Received(event) if isinstance(event, Message) else event, now)

    def step(self, event: Event, now: Millis = NOW) -> tuple[Effect, ...]:
        before = invariants.remember(self.state)
        effects = super().step(event, now)
        if not any(isinstance(effect, Halt) for effect in effects):
            invariants.check(self.state, before)
        return effects


def a_replica(id: int = 1, *, n: int = 4, keys: Keys = FAST, **settings: Any) -> TestedReplica:
    """Replica `id` of `n`, as it starts for the first time."""
    signer = keys.signer(f"replica {id}")
    return TestedReplica(ReplicaId(id), keys.group(n), signer, Settings(**settings), genesis_block=GENESIS_BLOCK)


def received(message: Message) -> Received:
    """The event of its arrival."""
    return Received(message)


def fired(timer: Timer) -> TimerFired:
    """The event of its running out."""
    return TimerFired(timer)


def delivered(seq: int = 1, *of: str, block: Digest | None = None) -> Delivered:
    """The event of the execution of these transactions."""
    return Delivered(Seq(seq), block or block_hash(seq), tuple(tx(text).id for text in of), load(*map(tx, of)))


def load(*transactions: Transaction) -> Load:
    """How much these are."""
    return Load(len(transactions), sum(len(each.encoded) for each in transactions))


def only(effects: Iterable[Effect], kind: type[T]) -> list[T]:
    """The effects of one kind, in their order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Iterable[Any], kind: type[T]) -> list[T]:
    """The messages of one kind among what was sent, to one or all."""
    return [effect.message for effect in effects if isinstance(getattr(effect, "message", None), kind)]
