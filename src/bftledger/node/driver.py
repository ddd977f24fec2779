"""The driver: one replica's event loop. Drain, step, persist, send; then sleep until something happens.

All that arrived by the time a round begins shares the round's one durable commit; nothing is sent before it. The
engine decides everything, this only moves bytes and time.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Final, TextIO

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.engine.engine import Engine, Halted
from bftledger.engine.running import Running
from bftledger.home.home import Home
from bftledger.net.transport import FromClient, FromPeer, Transport
from bftledger.net.zmq import ZmqTransport
from bftledger.node.clock import Timers, wall_ms
from bftledger.node.pace import Pace
from bftledger.storage.sqlite import SqliteStore

IDLE_MS: Final = 1_000
"""The loop looks at its stop flag at least this often."""

LINGER_MS: Final = 200
"""On an orderly stop, frames that are queued get this long to leave."""


class Driver:
    """Runs an engine on a transport until `stop` is called."""

    def __init__(self, engine: Running, transport: Transport) -> None:
        self._engine = engine
        self._transport = transport
        self._timers = Timers()
        self.pace: Final = Pace()
        self._stopping = False
        self._has_more = False
        self._waits_for_lookup = False
        self._owes_receipts = False

    def stop(self) -> None:
        """Ends `run` after the round under way. Safe from signal handlers and other threads."""
        self._stopping = True
        self._transport.wake()

    def run(self) -> None:
        """Raises `StoreError` if the medium fails, and `Halted` if the replica must not go on."""
        try:
            self._run()
        except Halted as error:
            for replica, frame in error.last_words:
                self._transport.send_peer(replica, frame)
            raise

    def _run(self) -> None:
        self._engine.start(wall_ms())
        self._end_round(0.0, 0.0)
        while not self._stopping:
            self._wait()
            self._end_round(*self._take_in())

    def _wait(self) -> None:
        timeout_ms = self._timers.until_next_ms(IDLE_MS)
        if pause_ms := self.pace.pause_ms:
            self._transport.wait(0 if self._owes_receipts else min(timeout_ms, pause_ms), for_clients=False)
        elif self._has_more:  # what a round had no time for must not wait for something else to happen
            self._transport.wait(min(timeout_ms, self.pace.lookups_pause_ms) if self._waits_for_lookup else 0)
        else:
            self._transport.wait(timeout_ms)
        self.pace.go_on()

    def _take_in(self) -> tuple[float, float]:
        """Returns how many seconds it took to take in clients' requests, and what was none."""
        now = wall_ms()
        malformed = self._transport.traffic.malformed
        begin_s = time.monotonic()
        incoming = self._transport.drain(max_requests=self.pace.requests, max_request_bytes=self.pace.request_bytes)
        drained_s = time.monotonic() - begin_s
        malformed = self._transport.traffic.malformed - malformed
        per_message_s = drained_s / max(1, len(incoming) + malformed)
        requests: list[FromClient] = []
        for item in incoming:
            if isinstance(item, FromPeer):
                self._engine.on_peer(item.replica, item.frame, now)
            else:
                requests.append(item)
        for timer in self._timers.take_expired():
            self._engine.on_timer(timer, now)
        begin_s = time.monotonic()
        for request in requests:
            self._engine.on_client(request.route, request.frame, now)
        return time.monotonic() - begin_s + per_message_s * len(requests), per_message_s * malformed

    def _end_round(self, requests_s: float, malformed_s: float) -> None:
        pace = self.pace
        finished = self._engine.end_round(wall_ms(), pace.work, pace.lookups)
        self._has_more, self._waits_for_lookup = finished.has_more, finished.waits_for_lookup
        self._owes_receipts = finished.owes_receipts
        for effect in finished.timers:
            self._timers.apply(effect)
        for replica, frame in finished.to_peers:
            self._transport.send_peer(replica, frame)
        begin_s = time.monotonic()
        for route, frame in finished.to_clients:
            self._transport.send_client(route, frame)
        for route in finished.to_end:
            self._transport.end_client(route)
        sent_s = time.monotonic() - begin_s
        aside = finished.aside
        pace.spent(
            lookups_s=aside.lookups_s,
            others_s=aside.others_s + aside.share * requests_s + aside.of_answers * sent_s + malformed_s,
            is_ordering=finished.is_ordering,
        )


def as_it_is(engine: Engine) -> Running:
    """What runs of an engine around which nothing is put."""
    return engine


def run_replica(
    home: Home,
    replica: ReplicaId,
    *,
    log: TextIO | None = None,
    exit_with_parent: bool = False,
    wrap: Callable[[Engine], Running] = as_it_is,
) -> int:
    """Runs one replica of `home`'s group in the foreground until SIGTERM or SIGINT; returns the exit status.

    Raises `OperatorError` in one line for everything that keeps it from starting: a missing, foreign or readable key,
    a configuration out of range, a taken port, a store that is damaged, of another group, or in use. With
    `exit_with_parent` it also stops when its standard input ends, as it does when the process at its other end dies.
    `wrap`: what to run instead of the engine, around it.
    """
    log = log or sys.stderr
    secrets = home.secrets(replica)
    addresses = home.config.replicas
    genesis = home.genesis
    machine = load_machine(genesis.app, genesis.app_params)
    home.make_directories(replica)
    with contextlib.ExitStack() as resources:
        store = SqliteStore(home.ledger_path(replica), genesis.genesis_hash, replica)
        resources.callback(store.close)
        engine = Engine(
            genesis=genesis,
            me=replica,
            signer=secrets.signer,
            verifier=Ed25519Verifier(),
            settings=home.config.protocol,
            machine=machine,
            store=store,
            stopwatch=time.monotonic,
        )
        transport = ZmqTransport(
            key=secrets.transport,
            peers={i: genesis.replicas[i].transport_key for i in genesis.group.replicas if i != replica},
            peer_bind=addresses[replica].peer_bind,
            client_bind=addresses[replica].client_bind,
        )
        resources.callback(transport.close, LINGER_MS)
        for peer in genesis.group.replicas:
            if peer != replica:
                transport.connect(peer, addresses[peer].peer)
        running = wrap(engine)
        driver = Driver(running, transport)
        with _stop_on_signals(driver):
            if exit_with_parent:
                threading.Thread(target=_stop_at_end_of_input, args=(driver,), daemon=True).start()
            tip = engine.ledger.tip
            print(
                f"replica {replica} of {genesis.group.n}: block {tip.height}, view {engine.replica.state.view}, "
                f"peers at {addresses[replica].peer}, clients at {addresses[replica].client}",
                file=log,
                flush=True,
            )
            try:
                driver.run()
            except Halted as error:
                raise OperatorError(f"replica {replica} has halted: {error}; keep its data and find out why") from None
            running.close()
            if counted := count(running.counters(), transport.traffic.counters(), driver.pace.counters()):
                print(f"replica {replica}: {counted}", file=log, flush=True)
        print(f"replica {replica}: stopped at block {engine.ledger.tip.height}", file=log, flush=True)
    return 0


def count(*counters: Mapping[str, int]) -> str:
    """`counters` as one line, in their order."""
    return ", ".join(f"{what} {times}" for counted in counters for what, times in counted.items())


@contextlib.contextmanager
def _stop_on_signals(driver: Driver) -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        driver.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop_at_end_of_input(driver: Driver) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    driver.stop()
