"""A Byzantine member: a lens on what an honest replica of `tests.cluster` sends, with that replica's key and no other.

It withholds, repeats what it said long ago, says different things to different replicas, gives proposals times and
transactions that they must not have, hides what it prepared, and passes on junk. Everything follows from the seed.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from bftledger.base import transaction
from bftledger.base.crypto import Signer
from bftledger.base.ids import Digest, Millis
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, PrePrepare, Relay, Status, ViewChange
from bftledger.pbft.proposals import make_proposal
from tests.builders import GENESIS, NOW

M = TypeVar("M", bound=Message)
HABITS = ("withholds", "repeats", "equivocates", "mistimes", "hides", "floods")
REMEMBERED = 200


class Traitor:
    """Turns each message to each receiver into what is sent instead. `calm`: it brings no new junk from now on."""

    def __init__(self, seed: int, signer: Signer) -> None:
        self.calm = False
        self._random = random.Random(f"traitor {seed}")
        self._signer = signer
        self._habits = set(self._random.sample(HABITS, self._random.randint(1, len(HABITS))))
        self._said: list[Message] = []
        self._alternatives: dict[Digest, PrePrepare] = {}
        self._junk = 0

    def lens(self, message: Message, now: int) -> Iterator[Message]:
        """What one receiver gets instead of `message`. `now`: milliseconds since the run began."""
        if self._does("withholds", 0.4):
            return
        if self._does("equivocates", 0.4) or (isinstance(message, PrePrepare) and self._does("mistimes", 0.5)):
            message = self._twisted(message, now)
        if isinstance(message, ViewChange) and self._does("hides", 0.7):
            message = self._signed(replace(message, prepared=()))
        yield message
        self._said = [*self._said[-REMEMBERED:], message]
        if not self.calm and self._does("repeats", 0.2):
            yield self._random.choice(self._said)
        if not self.calm and isinstance(message, Status) and self._does("floods", 0.3):
            junk = tuple(self._transaction(now) for _ in range(self._random.choice((1, 5, 20))))
            yield self._signed(Relay(transactions=junk, replica=message.replica, signature=wire.UNSIGNED))

    def _does(self, habit: str, chance: float) -> bool:
        return habit in self._habits and self._random.random() < chance

    def _twisted(self, message: Message, now: int) -> Message:
        match message:
            case PrePrepare():
                return self._other_pre_prepare(message, now)
            case Prepare() | Commit():
                other = self._alternatives.get(message.digest)
                return self._signed(replace(message, digest=other.digest if other else Digest(bytes(32))))
            case Checkpoint():
                return self._signed(replace(message, block_hash=Digest(bytes(32))))
            case _:
                return message

    def _other_pre_prepare(self, message: PrePrepare, now: int) -> PrePrepare:
        """Another proposal for the same slot, the same one each time."""
        if message.proposal is None:
            return message
        if message.digest not in self._alternatives:
            time = message.proposal.time
            if "mistimes" in self._habits:
                time = Millis(max(0, time + self._random.choice((-15_000, -3_000, 0, 1_400))))
            kept = tuple(tx for tx in message.proposal.transactions if self._random.random() < 0.5)
            junk = () if self.calm else tuple(self._transaction(now) for _ in range(self._random.choice((0, 1, 3))))
            proposal = make_proposal(time, (*kept, *junk)[: max(1, len(message.proposal.transactions))])
            other = self._signed(replace(message, digest=proposal.digest, proposal=None))
            self._alternatives[message.digest] = replace(other, proposal=proposal)
        return self._alternatives[message.digest]

    def _transaction(self, now: int) -> Transaction:
        """Junk: one that is fine, or expired, or created at a time that only some accept, or nobody."""
        self._junk += 1
        created = Millis(NOW + now + self._random.choice((0, 0, -50_000, 2_500, 4_900, 30_000)))
        return transaction.sign(
            self._signer,
            GENESIS,
            nonce=self._junk.to_bytes(transaction.NONCE_BYTES, "big"),
            created=created,
            expires=Millis(created + self._random.choice((1_000, 45_000))),
            payload=b"junk %d" % self._junk,
        )

    def _signed(self, message: M) -> M:
        return wire.sign(message, self._signer, GENESIS)
