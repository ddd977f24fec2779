"""What a replica holds for those who submitted and wait, in numbers: for whoever looks for what grows."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Of `submissions.Submissions`, between two rounds."""

    waiting: int
    """Submissions that wait for an answer, as in `Submissions.waiting`, but counted anew."""

    for_one: int
    """The most of them that wait for one transaction which is in no block."""

    overdue: int
    """Those that wait for a block which is proven; 0 if the round's work was spent (`Submissions.is_behind`)."""

    stranded: int
    """Those whose transaction is pending no more, and of whom nobody is about to be told: they would wait for ever."""

    unadmitted: int
    """Those that were neither taken nor refused in their round."""

    gone: int
    """Transactions that no block will hold, as those who wait for them are about to be told."""

    unproven: int
    """Blocks that are held until they are proven."""

    unwanted: int
    """Blocks that are held though nobody waits for them."""
