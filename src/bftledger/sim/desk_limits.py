"""Limits of what clients can make grow at a replica: requests that wait for their turn, submissions and reads that wait
for an answer, and what is held for them. To be measured between two rounds.

Each limit is the desk's own, or follows from its rules. A replica that never has more than it may can still keep
somebody waiting who is forgotten: so it is also counted who waits for what is there, or for what will never be.
"""

from collections.abc import Iterator, Mapping

from bftledger.check.bounds import Bound
from bftledger.engine import answers, forgers, intake, reads, submissions
from bftledger.engine.desk import Desk
from bftledger.engine.engine import BLOCKS_PER_ANSWER
from bftledger.engine.intake import SPARE, Intake
from bftledger.engine.reads import Reads
from bftledger.engine.submissions import Submissions
from bftledger.pbft.settings import Settings


def desk_bounds(desk: Desk, settings: Settings) -> Iterator[Bound]:
    """All of it."""
    yield from intake_bounds(desk.intake, desk.put_back)
    yield from intake_bounds(desk.lookups, {})
    yield Bound("connections that are remembered as forgers'", len(desk.forgers), forgers.MAX_REMEMBERED)
    yield Bound("connections that are shunned", desk.forgers.shunned, len(desk.forgers))
    yield from submission_bounds(desk.submissions, settings)
    yield from read_bounds(desk.reads)
    yield Bound("answers that did not leave with their round", desk.unsent, 0)


def _ranks(name: str, found: int, connections: int) -> Bound:
    """`intake.Ranking` holds old ranks, but not more than it has others, and a few; of so many connections at most."""
    return Bound(f"ranks of {name}", found, 2 * connections + SPARE)


# ── requests that wait for their turn ──


def intake_bounds(waiting: Intake, put_back: Mapping[bytes, bytes]) -> Iterator[Bound]:
    """`put_back`: those that wait to have a block read. Each is the oldest of its connection."""
    queues = waiting.waiting()
    frames = sum(map(len, queues.values()))
    size = sum(len(frame) for queue in queues.values() for frame in queue)
    yield Bound("requests that wait", frames, intake.MAX_FRAMES)
    yield Bound("bytes of requests that wait", size, intake.MAX_BYTES)
    yield Bound("requests that are counted wrongly", abs(len(waiting) - frames), 0)
    yield Bound("bytes of requests that are counted wrongly", abs(waiting.size - size), 0)
    yield Bound("connections without a request", sum(not queue for queue in queues.values()), 0)
    yield _ranks("connections with requests", waiting.ranks, intake.MAX_FRAMES + 1)
    heads = {route: queue[0] for route, queue in queues.items() if queue}
    astray = sum(heads.get(route) is not frame for route, frame in put_back.items())
    yield Bound("requests put back that do not wait", astray, 0)


# ── submissions ──


def submission_bounds(waiting: Submissions, settings: Settings) -> Iterator[Bound]:
    """Submissions that wait, and the blocks that are held for them.

    Blocks are unproven until a certificate of theirs or of a later block is executed. What is decided here is within a
    window above the last one. What is fetched comes with one, and the way to that is no longer than a window or an
    answer (`engine.Engine`).
    """
    sizes = waiting.sizes()
    yield Bound("submissions that wait", sizes.waiting, submissions.MAX_WAITING)
    yield Bound("submissions that are counted and do not wait", waiting.waiting - sizes.waiting, 0)
    yield Bound("submissions that wait and are not counted", sizes.waiting - waiting.waiting, 0)
    yield Bound("submissions that wait for one transaction", sizes.for_one, submissions.WAITERS_PER_TRANSACTION)
    yield Bound("submissions that wait for a block that is proven", sizes.overdue, 0)
    yield Bound("submissions that wait for what is pending no more", sizes.stranded, 0)
    yield Bound("submissions neither taken nor refused in their round", sizes.unadmitted, 0)
    yield Bound("transactions of which to tell that they are gone", sizes.gone, submissions.MAX_WAITING)
    way = max(BLOCKS_PER_ANSWER, settings.window)
    yield Bound("unproven blocks that are held for those who wait", sizes.unproven, settings.window + way)
    yield Bound("blocks that are held for nobody", sizes.unwanted, 0)
    proven = waiting.answers.at_hand()
    held = sum(len(each.block.encoded) for each in proven if each.block is not None)
    yield Bound("bytes of proven blocks that are held for those who wait", held, answers.BYTES_AT_HAND)
    yield Bound("proven blocks that are held for nobody", sum(not each.owed for each in proven), 0)
    yield _ranks("connections that an answer is owed to", waiting.answers.ranks, submissions.MAX_WAITING)


# ── reads ──


def read_bounds(waiting: Reads) -> Iterator[Bound]:
    """Reads that wait, after a round: so many at most, and none for what is here.

    One that is counted and does not wait takes the room of another for ever; one that waits uncounted has no limit.
    """
    held = [size for _, size in waiting.room.all()]
    yield Bound("reads that wait", waiting.held, reads.MAX_WAITING)
    yield Bound("reads that are counted and do not wait", waiting.waiting - waiting.held, 0)
    yield Bound("reads that wait and are not counted", waiting.held - waiting.waiting, 0)
    yield Bound("reads that wait for what is here", waiting.overdue, 0)
    yield Bound("bytes of reads that wait", sum(held), reads.MAX_WAITING * reads.READ_BYTES)
    yield Bound("bytes of reads that are counted wrongly", abs(waiting.room.size - sum(held)), 0)
    yield Bound("reads that have room and do not wait", len(held) - waiting.held, 0)
    yield Bound("reads that wait without room", waiting.held - len(held), 0)
    yield _ranks("connections with reads", max(waiting.room.ranks, waiting.ranks), reads.MAX_WAITING + 1)
