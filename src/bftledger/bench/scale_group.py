"""A whole group and its clients on virtual time: real engines, keys and stores, and frames that pass as bytes.

Measured: what rounds take (`scale_host`), and every frame that is sent (`scale_traffic`). Modelled: when frames
arrive, what the transport costs and how long a disk is waited for (`scale_costs`), and who has a core when.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.errors import BftLedgerError
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import ReplicaId
from bftledger.bench.scale_clients import Program
from bftledger.bench.scale_costs import Costs
from bftledger.bench.scale_host import CLIENTS, START, Cores, Host, Incoming, Outgoing, ReplicaHost, WatchedStore
from bftledger.bench.scale_traffic import Traffic
from bftledger.engine.engine import Engine
from bftledger.pbft.settings import Settings
from bftledger.sim.network import Network
from bftledger.sim.plan import Weather
from bftledger.sim.recording import Fate
from bftledger.sim.timeline import Timeline

STARTS_US: Final = 1_000_000
"""All replicas start within the first second, each at a moment drawn by chance."""

Loss = Callable[[int, int, str, bytes], bool]
"""Whether a frame from one place to another, of this kind, is lost."""


class Stalled(BftLedgerError):
    """What was waited for did not happen in time; the text says what."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A group to be run. `cores`: for all processes together; None: one for each, and the clients' work takes no time.

    `delay_us`: of each frame, one way. `bytes_per_ms`: what each place can send; 0: as much as it likes. `detours`:
    some transactions go by another replica than the primary, as those of real clients do. `stores`: the directory in
    which the stores have a temporary one; None: the usual place.
    """

    replicas: int
    costs: Costs
    settings: Settings = field(default_factory=Settings)
    clients: int = 1
    size: int = 200
    seed: int = 1
    cores: int | None = None
    delay_us: int = 500
    bytes_per_ms: int = 0
    detours: bool = False
    stores: Path | None = None


class Group(Timeline):
    """The group of a model, its stores in `directory`. Close it."""

    def __init__(self, model: Model, directory: Path) -> None:
        super().__init__()
        self.model: Final = model
        self.traffic: Final = Traffic()
        self.is_lost: Loss = lambda *_: False
        self._network = Network(Weather(delay_us=model.delay_us, bytes_per_ms=model.bytes_per_ms), Random(model.seed))
        self._moving = 0
        cores = Cores(model.cores)
        signers = [Ed25519Signer(Random(f"replica {i} of {model.seed}").randbytes(32)) for i in range(model.replicas)]
        self.genesis: Final = _genesis(signers)
        self.replicas: Final = [self._replica(ReplicaId(i), signers[i], directory, cores) for i in range(len(signers))]
        self.program: Final = Program(
            self.genesis,
            model.costs,
            clients=model.clients,
            size=model.size,
            seed=model.seed,
            detours=model.detours,
            is_free=model.cores is None,
            timeline=self,
            cores=cores,
            post=self._send,
            patience_ms=model.settings.request_timeout_ms,
        )
        moments = Random(f"starts {model.seed}")
        for host in self.replicas:
            self.at(moments.randrange(STARTS_US), host.start)  # nobody's timers are in step with another's
        self.run(STARTS_US)

    def _replica(self, me: ReplicaId, signer: Ed25519Signer, directory: Path, cores: Cores) -> ReplicaHost:
        store = WatchedStore(directory / f"{me}.db", self.genesis.genesis_hash, me)
        engine = Engine(
            genesis=self.genesis,
            me=me,
            signer=signer,
            verifier=Ed25519Verifier(),
            settings=self.model.settings,
            machine=load_machine(self.genesis.app, {}),
            store=store,
        )
        return ReplicaHost(engine, store, self.model.costs, timeline=self, cores=cores, post=self._send)

    def close(self) -> None:
        """Closes the stores."""
        for host in self.replicas:
            host.store.close()

    # ── what it is ──

    @property
    def up(self) -> list[ReplicaHost]:
        """The replicas that are not silent."""
        return [host for host in self.replicas if not host.is_silent]

    @property
    def view(self) -> int:
        """The highest that a replica is in."""
        return max(host.engine.replica.state.view for host in self.up)

    @property
    def height(self) -> int:
        """Of the highest block that a replica has executed."""
        return max(host.engine.ledger.tip.height for host in self.up)

    @property
    def cpu_us(self) -> float:
        """What all rounds have taken, the transport's share left out."""
        return sum(host.cpu_us for host in self._hosts)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way, and nobody is at work."""
        return not self._moving and not any(host.is_busy for host in self._hosts)

    @property
    def _hosts(self) -> list[Host]:
        return [*self.replicas, self.program]

    # ── what it does ──

    def submit(self, clients: Sequence[int]) -> None:
        """These clients submit a transaction each, in one round of their program."""
        self.program.wants.extend(clients)
        self.program.go()

    def until(self, is_over: Callable[[], bool], within_us: int, what: str) -> None:
        """Lets time pass until then. Raises `Stalled` if that takes longer."""
        if not self.run(self.now + within_us, is_over):
            raise Stalled(f"{self.model.replicas} replicas: {what} within {within_us / 1e6:g} s of virtual time")

    def _send(self, source: int, outgoing: Sequence[Outgoing]) -> None:
        """What arrives together at one place is taken in together."""
        arriving: dict[tuple[int, int], list[Incoming]] = {}
        for to, frame in outgoing:
            kind = self.traffic.count(source, to, frame)
            if self.is_lost(source, to, kind, frame):
                continue
            arrives = self._network.send(source, to, len(frame), self.now)
            assert not isinstance(arrives, Fate), "this network loses nothing by itself"
            for at in arrives:
                arriving.setdefault((at, to), []).append(Incoming(source, frame))
        for (at, to), frames in arriving.items():
            self._moving += 1
            self.at(at, lambda to=to, frames=frames: self._arrive(to, frames))  # type: ignore[misc]

    def _arrive(self, to: int, frames: Sequence[Incoming]) -> None:
        self._moving -= 1
        host: Host = self.program if to == CLIENTS else self.replicas[to]
        if not host.is_silent:
            host.take_in(frames)


@contextmanager
def grouped(model: Model) -> Iterator[Group]:
    """A group whose stores are in a temporary directory."""
    with TemporaryDirectory(prefix="bftledger-scale-", dir=model.stores) as directory:
        group = Group(model, Path(directory))
        try:
            yield group
        finally:
            group.close()


@contextmanager
def settled_heap() -> Iterator[None]:
    """What there is now the collector does not look at: the replicas of other processes would not be there either."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _genesis(signers: Sequence[Ed25519Signer]) -> Genesis:
    keys = tuple(ReplicaKeys(signer.public_key, bytes([i + 1]) * 32) for i, signer in enumerate(signers))
    return Genesis(name="bench", created=START, app="kv", replicas=keys, members=())
