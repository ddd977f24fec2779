"""What every way to misbehave has in common: a scene to look at, and a lens on what an honest replica says and hears.

A behaviour decides message by message and receiver by receiver. It holds the keys in its scene and no others, so what
it says of its own it can sign, and what others said it can only repeat, withhold or damage.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Final, NamedTuple, TypeVar

from bftledger.base import transaction
from bftledger.base.crypto import Signer
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import MAX_MILLIS, NONCE_BYTES, Transaction
from bftledger.engine.engine import Engine
from bftledger.ledger.client_messages import Reply, Request
from bftledger.pbft import wire
from bftledger.pbft.messages import Commit, Message, Prepare, PrePrepare
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import State

TICK_MS: Final = Millis(100)
"""Behaviours that act of their own accord are asked this often."""

V = TypeVar("V", PrePrepare, Prepare, Commit)

Frame = tuple[ReplicaId, Message | bytes]
"""What to send to whom; bytes are sent as they are."""


@dataclass
class Scene:
    """What a behaviour may look at and use: one for each adversary, shared by its behaviours."""

    engine: Engine
    """Its honest core: to look at, never to change."""
    signers: Mapping[ReplicaId, Signer]
    """Its own key, and those of accomplices that share theirs."""
    chance: Random
    now: Millis = Millis(0)
    """Its clock, milliseconds since the epoch, as of the call."""
    is_calm: bool = False
    """It brings no new junk from now on: what others are to do with the old can come to an end."""
    _nonce: int = field(default=0, repr=False)

    @property
    def me(self) -> ReplicaId:
        """Whose lens this is."""
        return self.engine.me

    @property
    def genesis(self) -> Genesis:
        """The founding facts of its group."""
        return self.engine.genesis

    @property
    def group(self) -> Group:
        """The members, and the sizes of quorums."""
        return self.genesis.group

    @property
    def state(self) -> State:
        """What its honest core knows."""
        return self.engine.replica.state

    @property
    def settings(self) -> Settings:
        """The numbers that its honest core runs with."""
        return self.state.settings

    @property
    def others(self) -> list[ReplicaId]:
        """All replicas but this one, in ascending order."""
        return [i for i in self.group.replicas if i != self.me]

    def sign(self, message: wire.M) -> wire.M:
        """`message` with the signature of the replica that it names, whose key must be among the `signers`."""
        return wire.sign(message, self.signers[message.replica], self.group.genesis_hash)

    def vote(self, kind: type[V], view: View, seq: Seq, digest: Digest) -> V:
        """A vote of its own, signed."""
        return self.sign(kind(view=view, seq=seq, digest=digest, replica=self.me, signature=wire.UNSIGNED))

    def transaction(self, payload: bytes = b"", *, created: int = 0, lifetime: int = 30_000) -> Transaction:
        """A new transaction of its own, as junk: signed with its replica's key.

        `created`: milliseconds from now. `lifetime`: milliseconds until it expires.
        """
        self._nonce += 1
        made = Millis(min(max(self.now + created, 0), MAX_MILLIS - 1))
        return transaction.sign(
            self.signers[self.me],
            self.group.genesis_hash,
            nonce=self._nonce.to_bytes(NONCE_BYTES, "big"),
            created=made,
            expires=Millis(min(made + max(lifetime, 1), MAX_MILLIS)),
            payload=payload or b"junk %d of replica %d" % (self._nonce, self.me),
        )


class Behaviour:
    """One way to misbehave. Every method, unless a class says otherwise, does what the honest replica does."""

    name: ClassVar[str] = ""
    does: ClassVar[str] = ""
    """What it does, in a sentence or two."""
    stopped_by: ClassVar[str] = ""
    """Which rule of the protocol keeps it from doing harm, with the paper's section."""
    shows: ClassVar[str] = ""
    """What an honest group must show for it."""
    takes: ClassVar[str] = ""
    """What its argument means; empty if it takes none."""
    is_heavy: ClassVar[bool] = False
    """It makes a group work hard, or is of use only in circumstances made for it: neither `random` nor a campaign draws
    it, but for plans that are made for it."""

    def __init__(self, scene: Scene, argument: str = "") -> None:
        """Raises `OperatorError` for an argument that means nothing."""
        self.scene = scene
        self.argument = argument

    def acting(self) -> "Iterable[Behaviour]":
        """Those that misbehave now: itself, or those that it has chosen."""
        return (self,)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        """What one receiver gets instead of a message of the honest core's."""
        yield message

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        """What a client gets instead of an honest reply."""
        yield reply

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        """What is sent because of an authentic message, before the core learns of it, whether or not it cares."""
        return ()

    def hears(self, sender: ReplicaId, frame: bytes) -> bool:
        """Whether the core learns of a peer's frame."""
        return True

    def takes_request(self, route: bytes, request: Request) -> bool:
        """Whether the core learns of a client's request."""
        return True

    def tick(self) -> Iterable[Frame]:
        """What is sent of its own accord, every `TICK_MS`."""
        return ()

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        """So long is a frame held back."""
        return Millis(0)

    # ── its argument ──

    def wrong_argument(self) -> OperatorError:
        """What to raise for an argument that means nothing."""
        return OperatorError(f"{self.name}:{self.argument}: what follows the colon should be {self.takes}")

    def choose_from(self, *options: str) -> str:
        """The argument, which must be one of `options`; without an argument one of them by chance."""
        if self.argument and self.argument not in options:
            raise self.wrong_argument()
        return self.argument or self.scene.chance.choice(options)

    def number(self, default: int, *, most: int) -> int:
        """The argument as a number from 0 to `most`."""
        if not self.argument:
            return default
        if not (self.argument.isascii() and self.argument.isdecimal()) or int(self.argument) > most:
            raise self.wrong_argument()
        return int(self.argument)

    def replicas(self) -> list[ReplicaId]:
        """The argument as other replicas' numbers, separated by commas; empty without an argument."""
        known = {str(i): i for i in self.scene.others}
        named = self.argument.split(",") if self.argument else []
        if not set(named) <= known.keys():
            raise self.wrong_argument()
        return [known[text] for text in named]


class Choice(NamedTuple):
    """A behaviour, and what it is told: `NAME:ARGUMENT` on a command line."""

    behaviour: type[Behaviour]
    argument: str = ""

    def begin(self, scene: Scene) -> Behaviour:
        """The behaviour on its scene. Raises `OperatorError` for an argument that means nothing."""
        return self.behaviour(scene, self.argument)

    def __str__(self) -> str:
        return f"{self.behaviour.name}:{self.argument}" if self.argument else self.behaviour.name
