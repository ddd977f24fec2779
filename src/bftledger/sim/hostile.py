"""Clients that send what nobody should: garbage, forgeries, what is too old, too early, too long or too much, and what
they or others have sent before.
"""

from random import Random
from typing import Final

from bftledger.base import cbor
from bftledger.base.ids import Millis, ReplicaId, Seq, Signature, TxId
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskBlock, AskBlocks, AskFate, AskHeight, AskReceipt, Query, Submit
from bftledger.sim.host import START_MS
from bftledger.sim.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bftledger.sim.world import World

_PAUSE_US: Final = 150_000


class HostileClient:
    """Acts now and then until the run heals, and after that, if the plan says so, less often. It is a member with a key
    of its own and nothing to lose, and has another key that the genesis does not list."""

    def __init__(self, number: int, world: "World", plan: Plan) -> None:
        self._number = plan.work.clients + number
        self._world = world
        self._plan = plan
        self._chance = Random(f"hostile client {number} of {plan.seed}")
        self._member = world.keys.signer(f"hostile client {number}")
        self._stranger = world.keys.signer(f"stranger {number}")
        self._sent = 0
        self._transactions: list[bytes] = []

    def act(self) -> None:
        """Sends something to one replica or to all; then rests for a while."""
        rest_us = 1_000 * self._plan.work.hostile_rest_ms
        if self._world.is_healed and not rest_us:
            return
        chance = self._chance
        kind, frame = self._frame()
        replicas = range(self._plan.n)
        for replica in replicas if chance.random() < 0.3 else (chance.randrange(self._plan.n),):
            self._world.counts[f"hostile: {kind}"] += 1
            self._world.to_replica(self._number, ReplicaId(replica), frame)
        pause = rest_us + chance.randrange(rest_us) if self._world.is_healed else 1 + chance.randrange(_PAUSE_US)
        self._world.at(self._world.now + pause, self.act)

    def _frame(self) -> tuple[str, bytes]:
        """What is sent, and what to call it."""
        chance = self._chance
        self._sent += 1
        kind = chance.randrange(8)
        if kind == 0:
            return "garbage", chance.randbytes(chance.randrange(200))
        if kind == 1:
            frame = bytearray(self._submission())
            frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            return "damaged", bytes(frame)
        if kind == 2:
            return "question", self._question()
        if kind == 3 and (replay := self._replay()) is not None:
            return "replay", replay
        return "submission", self._submission()

    def _submission(self) -> bytes:
        """One that is fine, expired, created too late for some or for all, badly signed, a stranger's, or means
        nothing; or it exceeds by a little or by far what the genesis allows."""
        chance, genesis = self._chance, self._world.genesis
        now = START_MS + self._world.now // 1_000
        created = now + chance.choice((0, 0, 0, -50_000, 2_500, 4_900, 5_600, 30_000))
        longest = genesis.max_lifetime_ms
        lifetime = chance.choice((100, 1_000, 45_000, longest, longest + 1, longest + 60_000))
        value = b"junk %d" % self._sent
        if chance.random() < 0.05:
            value = bytes(genesis.max_payload_bytes - chance.choice((40, 0, 0, -1_000)))
        payload = cbor.encode(["put", b"junk key %d" % chance.randrange(3), value])
        if chance.random() < 0.1:
            payload = chance.randbytes(20)
        transaction = sign(
            self._stranger if chance.random() < 0.1 else self._member,
            self._world.genesis.genesis_hash,
            nonce=self._sent.to_bytes(NONCE_BYTES, "big"),
            created=Millis(created),
            expires=Millis(created + lifetime),
            payload=payload,
        )
        encoded = transaction.encoded
        self._transactions.append(encoded)
        if chance.random() < 0.2:
            forged = Signature(chance.randbytes(64))
            encoded = encoded.replace(transaction.signature, forged)
        return client_wire.encode(Submit(request_id=self._sent, transaction=encoded))

    def _replay(self) -> bytes | None:
        """What it or another client has sent before: it has been executed, has expired, or is under way; None if
        nobody has sent anything."""
        calls = [call for client in self._world.clients for call in client.calls]
        known = [*self._transactions, *(call.transaction.encoded for call in calls if call.transaction)]
        if not known:
            return None
        return client_wire.encode(Submit(request_id=self._sent, transaction=self._chance.choice(known)))

    def _question(self) -> bytes:
        chance, number = self._chance, self._sent
        unknown = TxId(chance.randbytes(32))
        height = Seq(chance.choice((0, 1, 5, 1 << 40)))
        return client_wire.encode(
            chance.choice(
                (
                    AskFate(request_id=number, tx_id=unknown),
                    AskReceipt(request_id=number, tx_id=unknown),
                    AskBlock(request_id=number, height=height),
                    AskBlocks(request_id=number, count=chance.choice((1, 256))),
                    AskHeight(request_id=number, minimum=height),
                    Query(request_id=number, args=b"key 0", certified=True, minimum=height),
                )
            )
        )
