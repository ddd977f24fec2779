"""The core's paths as small pieces of work that are the same every time: what `bench/check.py` guards.

Each does again what one backup did in a recorded run of a real group, on real frames and transactions, and nothing
else; the last two are whole runs. Getting ready is not part of the work: what a repetition needs anew is made anew.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bftledger.apps.load import load_machine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import SIGNATURE_BYTES, Ed25519Verifier
from bftledger.base.ids import Millis, PublicKey, Seq, Signature
from bftledger.bench.core import Group, Work
from bftledger.bench.recorded import BACKUP, Recording
from bftledger.bench.yardsticks import PYTHON, SIGNATURES, STORE, Ready
from bftledger.ledger import client_wire
from bftledger.ledger.executor import Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.pbft import proposals, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import PreparedCertificate
from bftledger.pbft.replica import Replica
from bftledger.pbft.settings import Settings
from bftledger.sim.plan import Plan, Weather
from bftledger.sim.plan import Work as Clients
from bftledger.sim.run import run
from bftledger.storage.sqlite import SqliteStore

RECORDED: Final = Work(transactions=96, batch=32, senders=16)
"""What the recorded group is given: 7 blocks of 32 transactions, of which the first 4 are `core`'s warm-up."""

SIMULATED: Final = Plan(
    seed=1,
    work=Clients(clients=4, operations=5, reads=0.0, keys=5, think_ms=0, burst=5),
    weather=Weather(delay_us=500),
)
"""A run without faults, in which 20 transactions are committed."""

_ENCODED: Final = 10
_SIGNED: Final = 5
"""So often is done what is too short to be measured alone."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A path. `like`: the yardsticks that it is measured against, together; it is of the same kinds of work."""

    name: str
    what: str
    like: tuple[str, ...]
    ready: Ready


def pieces(recording: Recording, directory: Path) -> list[Piece]:
    """All of them; `directory` is where their stores are."""
    return [
        Piece(
            name="step",
            what="the core's steps, without signatures",
            like=(PYTHON,),
            ready=partial(_step, recording),
        ),
        Piece(
            name="decode",
            what="frames of peers and clients, without signatures",
            like=(PYTHON,),
            ready=partial(_decode, recording),
        ),
        Piece(
            name="verify",
            what="the same frames of peers through the door, each signature checked",
            like=(SIGNATURES, PYTHON),
            ready=partial(_verify, recording),
        ),
        Piece(
            name="execute",
            what="proposals become blocks",
            like=(PYTHON,),
            ready=partial(_execute, recording),
        ),
        Piece(
            name="store",
            what="votes, blocks and certificates in a new SQLite file, with all commits",
            like=(STORE,),
            ready=partial(_store, recording, directory),
        ),
        Piece(
            name="encode",
            what="proposals, and the frames of all kept votes",
            like=(PYTHON,),
            ready=partial(_encode, recording),
        ),
        Piece(
            name="sign",
            what="the backup's own votes",
            like=(SIGNATURES,),
            ready=partial(_sign, recording),
        ),
        Piece(
            name="simulator",
            what="a run without faults, with all oracles",
            like=(PYTHON,),
            ready=_simulator,
        ),
        Piece(
            name="replica",
            what="a batch in a whole group of four, from submission to answer",
            like=(SIGNATURES, PYTHON, STORE),
            ready=partial(_replica, recording, directory),
        ),
    ]


class _Unsigned:
    """Signs nothing: what the core does besides."""

    def __init__(self, public_key: PublicKey) -> None:
        self.public_key = public_key

    def sign(self, message: bytes) -> Signature:
        return Signature(bytes(SIGNATURE_BYTES))


@contextlib.contextmanager
def _step(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the effects of each step."""
    genesis, settings = recording.genesis, Settings()
    made = execute_genesis(genesis, load_machine(genesis.app, {}), AuthenticatedMap(), History.empty())
    replica = Replica(
        BACKUP,
        genesis.group,
        _Unsigned(recording.signer.public_key),
        settings,
        genesis_block=made.block.hash,
        ahead_ms=Millis(genesis.max_skew_ms - settings.clock_skew_ms),
    )
    replica.recover((), executed=Seq(0), executed_hash=made.block.hash, certificate=None)
    calls = [(getattr(replica, call.name), call.arguments) for call in recording.core]
    yield lambda: [call(*arguments) for call, arguments in calls]


@contextlib.contextmanager
def _decode(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the messages."""
    genesis_hash = recording.genesis.genesis_hash
    yield lambda: [
        *[wire.decode(frame, genesis_hash) for frame in recording.frames],
        *[client_wire.decode_request(frame) for frame in recording.submitted],
    ]


@contextlib.contextmanager
def _verify(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the messages, by a door that has seen none of them."""
    door = Authenticator(recording.genesis.group, Ed25519Verifier())
    yield lambda: [door.authenticate(frame) for frame in recording.frames]


@contextlib.contextmanager
def _execute(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the blocks, with what belongs to them."""
    genesis = recording.genesis
    machine, state, history = load_machine(genesis.app, {}), AuthenticatedMap(), History.empty()
    tip = execute_genesis(genesis, machine, state, history).block.header
    executor = Executor(genesis, machine, state, lambda _: set(), history, tip)
    yield lambda: [executor.execute(proposal) for proposal in recording.proposals]


@contextlib.contextmanager
def _store(recording: Recording, directory: Path) -> Iterator[Callable[[], Any]]:
    """What it did: the height afterwards."""
    with TemporaryDirectory(dir=directory) as temporary:
        store = SqliteStore(Path(temporary, "ledger.db"), recording.genesis.genesis_hash, BACKUP)
        calls = [(getattr(store, call.name), call.arguments) for call in recording.store]

        def work() -> Any:
            for call, arguments in calls:
                call(*arguments)
            return store.height()

        try:
            yield work
        finally:
            store.close()


@contextlib.contextmanager
def _encode(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the frames, and the proposals."""
    votes, decided = recording.votes, recording.proposals

    def work() -> Any:
        for _ in range(_ENCODED):
            frames = [wire.encode(vote) for vote in votes]
            made = [proposals.make_proposal(one.time, one.transactions) for one in decided]
        return frames, made

    yield work


@contextlib.contextmanager
def _sign(recording: Recording) -> Iterator[Callable[[], Any]]:
    """What it did: the votes, signed."""
    genesis_hash, signer = recording.genesis.genesis_hash, recording.signer
    own = [vote for vote in recording.votes if not isinstance(vote, PreparedCertificate) and vote.replica == BACKUP]
    yield lambda: [wire.sign(vote, signer, genesis_hash) for _ in range(_SIGNED) for vote in own]


@contextlib.contextmanager
def _simulator() -> Iterator[Callable[[], Any]]:
    """What it did: the report."""
    yield lambda: run(SIMULATED)


@contextlib.contextmanager
def _replica(recording: Recording, directory: Path) -> Iterator[Callable[[], Any]]:
    """What it did: the height afterwards. The first batch comes before: what is made once is made in it."""
    frames, batch = recording.submitted, RECORDED.batch
    with TemporaryDirectory(dir=directory) as temporary:
        group = Group(Path(temporary), RECORDED)
        try:
            group.commit(frames[:batch])

            def work() -> Any:
                group.commit(frames[batch : 2 * batch])
                return group.members[BACKUP].engine.ledger.tip.height

            yield work
        finally:
            group.close()
