"""Replicas that hand over what is wrong, nothing, or too late, that ask for too much, and that pass on junk.

(OSDI'99 §4.2 for what is relayed, §4.4 and TOCS'02 §5.2 for what is fetched.)
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.adversary.behaviours.proposing import raw_proposal, shifted
from bftledger.apps.machine import OK, Result
from bftledger.base import cbor
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature
from bftledger.base.transaction import MAX_PAYLOAD_BYTES, Transaction
from bftledger.ledger import merkle
from bftledger.ledger.block import Block
from bftledger.pbft import wire
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.messages import (
    Blocks,
    CheckpointCertificate,
    FetchBlocks,
    FetchProposal,
    Message,
    Proposal,
    Proposed,
    Relay,
    SlotStatus,
    Status,
)
from bftledger.pbft.proposals import NULL_PROPOSAL, make_proposal
from bftledger.pbft.settings import MAX_BATCH_COUNT

PROOF: Final = (
    "Blocks are believed if hashes link them to the newest one here and to one that a quorum certified (§4.4)"
)
GOOD: Final = cbor.encode(["put", b"junk", b"more junk"])
"""What the application takes, if it is the default one: only such a transaction finds its way into a pool."""

ANOTHER: Final = "Who gets a bad answer or none asks the next signer of the certificate"


def _decoded(message: Blocks) -> list[Block]:
    """The blocks in it; none if another behaviour of the same replica has falsified one of them."""
    try:
        return [Block.decode(data) for data in message.blocks]
    except Malformed:
        return []


class LieBlocks(Behaviour):
    """Rewrites history for those who missed it."""

    name = "lie-blocks"
    does = (
        "It answers with blocks that are altered, out of order, truncated, not linked, or a fork of its own making, "
        "with other headers, or under another certificate."
    )
    stopped_by = f"{PROOF}. {ANOTHER}."
    shows = "What came is dropped; the replica that lags catches up from others and never executes a lie."
    takes = "altered, order, truncated, unlinked, fork, headers or certificate; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._lie()
        self._old: CheckpointCertificate | None = None

    def _lie(self) -> str:
        return self.choose_from("altered", "order", "truncated", "unlinked", "fork", "headers", "certificate")

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Blocks) or not (sound := _decoded(message)):
            yield message
            return
        lie = self._twisted(message, sound, self._lie())
        self._old = self._old or message.certificate
        yield self.scene.sign(lie if lie != message else self._forked(message, sound))

    def _twisted(self, message: Blocks, sound: list[Block], lie: str) -> Blocks:
        blocks, headers = message.blocks, message.headers
        match lie:
            case "altered":
                return replace(message, blocks=(*blocks[:-1], self._flipped(blocks[-1])))
            case "order":
                return replace(message, blocks=blocks[::-1])
            case "truncated":
                return replace(message, blocks=(*blocks[:-1], blocks[-1][: len(blocks[-1]) // 2]))
            case "unlinked":
                return replace(message, blocks=blocks[1:] or blocks * 2)
            case "headers":
                last = sound[-1].header
                return replace(message, headers=(*headers, replace(last, height=Seq(last.height + 1)).encoded))
            case "certificate":
                other = Digest(self.scene.chance.randbytes(32))
                return replace(message, certificate=self._old or replace(message.certificate, block_hash=other))
            case _:
                return self._forked(message, sound)

    def _flipped(self, block: bytes) -> bytes:
        place = self.scene.chance.randrange(len(block))
        return block[:place] + bytes([block[place] ^ 1 << self.scene.chance.randrange(8)]) + block[place + 1 :]

    def _forked(self, message: Blocks, sound: list[Block]) -> Blocks:
        """Sound blocks on top of what the asker has, each with a transaction of its own; only the proof is not."""
        made: list[Block] = []
        result = Result(OK).encode()
        for block in sound:
            junk = self.scene.transaction().encoded
            header = replace(
                block.header,
                previous=made[-1].hash if made else block.header.previous,
                count=1,
                transactions_root=merkle.root([junk]),
                results_root=merkle.root([result]),
            )
            made.append(Block(header=header, transactions=(junk,), results=(result,)))
        genuine = self.scene.chance.random() < 0.5
        tip = made[-1]
        claimed = replace(message.certificate, seq=tip.height, block_hash=tip.hash)
        return replace(
            message,
            blocks=tuple(block.encoded for block in made),
            headers=(),
            certificate=message.certificate if genuine else claimed,
        )


class WithholdBlocks(Behaviour):
    """Keeps what it has to itself."""

    name = "withhold-blocks"
    does = "It never answers a question for blocks or proposals."
    stopped_by = f"{ANOTHER}, at the next tick; a proposal is asked for of everybody (§4.4)."
    shows = "Who lags catches up, a tick later each time it asked the wrong one."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Blocks | Proposed):
            yield message


class SlowBlocks(Behaviour):
    """Answers truly, and as slowly as it can."""

    name = "slow-blocks"
    does = "It answers a question for blocks with a single one, just before the asker would turn to another."
    stopped_by = f"The next question after each answer goes to the next signer: {ANOTHER[0].lower()}{ANOTHER[1:]}."
    shows = "Who lags catches up, at the pace of the others' answers."
    takes = "the delay in milliseconds; 90 percent of the status interval without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._delay = Millis(self.number(9 * scene.settings.status_interval_ms // 10, most=60_000))

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if isinstance(message, Blocks) and len(sound := _decoded(message)) > 1:
            way = tuple(block.header.encoded for block in sound[1:])
            yield self.scene.sign(replace(message, blocks=message.blocks[:1], headers=(*way, *message.headers)))
        else:
            yield message

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        return self._delay if isinstance(message, Blocks) else Millis(0)


class WrongProposals(Behaviour):
    """Answers with what does not have the digest."""

    name = "wrong-proposals"
    does = "It answers every question for a proposal, and many that nobody asked, with another proposal or with junk."
    stopped_by = "A proposal fetched must have the digest that the new view assigned: that is its proof (§4.4)."
    shows = "What came is ignored as not asked for, or dropped; the right one comes from those who prepared it."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield self._wrong(message.seq, message.proposal) if isinstance(message, Proposed) else message

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, FetchProposal):
            yield sender, self._wrong(message.seq, NULL_PROPOSAL)

    def tick(self) -> Iterable[Frame]:
        if not self.scene.is_calm:
            state = self.scene.state
            seq = Seq(self.scene.chance.randint(state.low + 1, state.high))
            yield self.scene.chance.choice(self.scene.others), self._wrong(seq, NULL_PROPOSAL)

    def _wrong(self, seq: Seq, right: Proposal) -> Proposed:
        chance = self.scene.chance
        junk = () if self.scene.is_calm else (self.scene.transaction(),)
        other = chance.choice(
            (
                make_proposal(shifted(right.time, 1), right.transactions),
                make_proposal(self.scene.now, (*right.transactions, *junk)),
                raw_proposal(right.encoded[:-1]),
                raw_proposal(chance.randbytes(40)),
                replace(make_proposal(self.scene.now, junk), digest=right.digest),
            )
        )
        return self.scene.sign(Proposed(seq=seq, proposal=other, replica=self.scene.me, signature=wire.UNSIGNED))


class FetchStorm(Behaviour):
    """Wants everything, always."""

    name = "fetch-storm"
    does = "It asks everybody for all blocks, for proposals, and for all that STATUS can claim to lack, without end."
    stopped_by = "Each peer has so many answers between two ticks; more questions are counted and not answered."
    shows = "Questions ignored as asked too often; everybody else is served."
    takes = "how many questions for blocks to each replica per tick of its own; 30 without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._questions = self.number(30, most=10_000)

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        scene, state, me = self.scene, self.scene.state, self.scene.me
        nothing = Status(
            view=state.view,
            active=False,
            stable=Seq(0),
            executed=Seq(0),
            slots=tuple(
                SlotStatus(seq=Seq(seq), has_pre_prepare=False, prepares=0, commits=0, checkpoints=0)
                for seq in range(state.low + 1, state.high + 1)
            ),
            view_changes=0,
            replica=me,
            signature=wire.UNSIGNED,
        )
        digests = [(seq, digest) for seq, slot in sorted(state.slots.items()) for digest in slot.proposals]
        digests.append((Seq(state.low + 1), Digest(scene.chance.randbytes(32))))
        asked: list[Message] = [scene.sign(nothing)]
        for _ in range(self._questions):
            first = Seq(scene.chance.choice((1, 1, 1, max(1, state.low), MAX_NUMBER)))
            asked.append(scene.sign(FetchBlocks(first=first, replica=me, signature=wire.UNSIGNED)))
        for seq, digest in digests:
            asked.append(scene.sign(FetchProposal(seq=seq, digest=digest, replica=me, signature=wire.UNSIGNED)))
        yield from ((to, question) for to in scene.others for question in asked)


class RelayJunk(Behaviour):
    """Passes on what nobody should order."""

    name = "relay-junk"
    does = (
        "It passes on transactions that are expired, from the future, inadmissible, unsigned, ordered long ago, too "
        "large or too many; and ever more good ones of its own."
    )
    stopped_by = (
        "What a replica passes on has a room of its own, and is looked at as if a client had brought it (§4.2)."
    )
    shows = "Bounded pools; what is not admissible is in no ledger; every honest client's transaction is."
    takes = "expired, early, inadmissible, unsigned, ordered, many or good; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._junk()
        self._seen: list[Transaction] = []

    def _junk(self) -> str:
        return self.choose_from("expired", "early", "inadmissible", "unsigned", "ordered", "many", "good")

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Relay):
            self._seen = [*self._seen, *message.transactions][-MAX_BATCH_COUNT:]
        return ()

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        relay = Relay(transactions=self._made(), replica=self.scene.me, signature=wire.UNSIGNED)
        signed = self.scene.sign(relay)
        yield from ((to, signed) for to in self.scene.others)

    def _made(self) -> tuple[Transaction, ...]:
        scene, genesis = self.scene, self.scene.genesis
        match self._junk():
            case "expired":
                return tuple(scene.transaction(GOOD, created=-20_000, lifetime=age) for age in (10, 10_000, 19_990))
            case "early":
                skew = genesis.max_skew_ms
                return tuple(scene.transaction(GOOD, created=skew + by) for by in (-500, -1, 1, 60_000))
            case "inadmissible":
                large = scene.transaction(bytes(min(genesis.max_payload_bytes + 1, MAX_PAYLOAD_BYTES)))
                return large, scene.transaction(GOOD, lifetime=genesis.max_lifetime_ms + 1)
            case "unsigned":
                good, bad = scene.transaction(GOOD), scene.transaction(GOOD)
                return good, replace(bad, signature=Signature(bytes(64)))
            case "ordered":
                return tuple(dict.fromkeys(self._seen[:100])) or (scene.transaction(),)
            case "many":
                one = scene.transaction()
                return (one,) * (MAX_BATCH_COUNT + 1)
            case _:
                return tuple(scene.transaction(GOOD) for _ in range(5))


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (
    LieBlocks,
    WithholdBlocks,
    SlowBlocks,
    WrongProposals,
    FetchStorm,
    RelayJunk,
)
