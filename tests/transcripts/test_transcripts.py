"""Golden transcripts: whole runs, message by message, to be read and reviewed as diffs.

`pytest tests/transcripts --rewrite-transcripts` writes them anew.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bftledger.base.ids import Seq
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Prepare, PreparedCertificate, PrePrepare, Status, ViewChange
from tests.builders import FAST, GENESIS, tx
from tests.cluster import Cluster
from tests.transcripts.transcript import Transcript

GOLDEN = Path(__file__).parent / "golden"
BOB, EVE, DAN = tx("pay bob"), tx("pay eve"), tx("pay dan")


def a_run() -> tuple[Cluster, Transcript]:
    cluster = Cluster(4)
    cluster.run(10)
    return cluster, Transcript(cluster)


def normal_case() -> Transcript:
    """Two transactions, the second gathered while the first is in flight; then rest."""
    cluster, transcript = a_run()
    transcript.chapter("a client submits to the primary, another to a backup")
    cluster.submit(0, BOB)
    cluster.submit(2, EVE)
    assert cluster.run(1_000, lambda: cluster.have_executed(BOB, EVE))
    transcript.chapter("the last checkpoints arrive, and the group rests")
    cluster.run(150)
    return transcript


def primary_crash() -> Transcript:
    """The primary crashes when two backups have committed its proposal and the third has never heard of it."""
    cluster, transcript = a_run()
    transcript.chapter("replica 3 hears nothing of a proposal, and the primary crashes")
    cluster.network.cut = {(a, 3) for a in (0, 1, 2)}
    cluster.submit(0, BOB)
    cluster.run(2)
    cluster.crash(0)
    transcript.chapter("the network heals, and the others move on to view 1, which proposes it again")
    cluster.network.cut = set()
    assert cluster.run(5_000, lambda: cluster.have_executed(BOB, on=[1, 2, 3]))
    transcript.chapter("the old primary starts again, and follows")
    cluster.start(0)
    assert cluster.run(5_000, lambda: cluster.have_executed(BOB) and cluster.nodes[0].state.view == 1)
    return transcript


def lagging_replica() -> Transcript:
    """A replica that was cut off fetches the blocks that it missed."""
    cluster, transcript = a_run()
    cluster.network.partition([3], [0, 1, 2])
    for transaction in (BOB, EVE):
        cluster.submit(0, transaction)
        cluster.run(200)
    transcript.lines.clear()
    transcript.chapter("two blocks later, replica 3 is reachable again")
    cluster.network.cut = set()
    assert cluster.run(5_000, lambda: cluster.have_executed(BOB, EVE))
    transcript.chapter("it takes part in the next block")
    cluster.submit(0, DAN)
    assert cluster.run(1_000, lambda: cluster.have_executed(DAN))
    return transcript


def restart() -> Transcript:
    """All replicas crash at once in the middle of a proposal, and go on where they were."""
    cluster, transcript = a_run()
    transcript.chapter("everybody crashes when the proposal is prepared, and what is under way is lost")
    cluster.submit(0, BOB)
    cluster.run(2)
    for i in range(4):
        cluster.crash(i)
    cluster.run(10)
    transcript.chapter("and starts again")
    for i in range(4):
        cluster.start(i)
    assert cluster.run(5_000, lambda: cluster.have_executed(BOB))
    return transcript


class Undertaker:
    """Replica 0 as a traitor: it helps nobody to prepare, and shows its first prepared certificate when it leaves."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._write = cluster.tap
        self._buried: tuple[PreparedCertificate, ...] = ()

    def tap(self, source: int, to: int, frame: bytes) -> bool:
        """PREPAREs between the others get lost in the first six views."""
        message = wire.decode(frame, GENESIS)
        if source != 0:
            is_lost = isinstance(message, Prepare) and message.view < 6 and to != 0
            return self._write(source, to, frame) and not is_lost
        slot = self._cluster.nodes[0].state.slots.get(Seq(1))
        if slot is not None and slot.certificate is not None and not self._buried:
            self._buried = (slot.certificate,)
        if isinstance(message, ViewChange):
            shown = self._buried if message.view == 6 else ()
            message = wire.sign(replace(message, prepared=shown), FAST.signer("replica 0"), GENESIS)
        if isinstance(message, PrePrepare | ViewChange | Status | Checkpoint):
            self._write(source, to, wire.encode(message))
            self._cluster.transmit(source, to, wire.encode(message))
        return False


def buried_proposal() -> Transcript:
    """A traitor shows what was prepared six views ago. The others have forgotten it, and it does not hand it over."""
    cluster, transcript = a_run()
    cluster.tap = Undertaker(cluster).tap
    cluster.submit(0, BOB)
    while max(cluster.view(i) for i in (1, 2, 3)) < 6:
        transcript.lines.clear()
        cluster.run(1)
    transcript.lines[:0] = ["", "== replica 0 leaves view 5 with the others, and is among the first three"]
    cluster.run(100, lambda: bool(cluster.nodes[2].state.active))
    transcript.chapter("the new primary has begun its view without what replica 0 said")
    assert cluster.run(100, lambda: cluster.have_executed(BOB, on=[1, 2, 3]))
    return transcript


RUNS = [normal_case, primary_crash, lagging_replica, restart, buried_proposal]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_the_run_is_the_one_on_record(run: Callable[[], Transcript], request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{run.__name__}.txt"
    text = f"{run.__doc__}\nmilliseconds, replica: what it does -> to whom\n\n{run().text}"
    if request.config.getoption("--rewrite-transcripts"):
        path.write_text(text)

    assert text.splitlines() == path.read_text().splitlines()
