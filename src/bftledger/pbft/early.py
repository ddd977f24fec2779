"""PRE-PREPAREs, PREPAREs and COMMITs that come before the NEW-VIEW of their view are kept until it does.

§4.4 lets a backup that has left a view accept nothing but CHECKPOINT, VIEW-CHANGE and NEW-VIEW. But a new primary
proposes right behind its NEW-VIEW, and the others vote; where the NEW-VIEW is lost, or overtaken, that would be lost,
too. It is sent again only when a STATUS shows that it lacks, and with a short time-out the view is over before that,
although its primary is correct (seed 76889).

Differs from the paper: they are kept, and accepted no sooner. Kept are those of the view after the present one, since
its primary may have begun it before this replica has left; and the PRE-PREPAREs of a view that is awaited, whose votes
have their place in the log already. When the time has come, each is judged as if it came then.
"""

from typing import Final

from bftledger.pbft import checkpoint
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Commit, Message, Prepare, PrePrepare
from bftledger.pbft.state import State

Early = PrePrepare | Prepare | Commit

SEATS: Final = 8
"""So many of a kind and a replica are kept at most for a view, or as many as a primary has under way at first, if that
is less. Who leads the next view could otherwise keep all others busy with what it proposes, while the present primary
should be heard: each transaction has a signature to check. What takes a seat has it until its view begins or is over.
"""

MAX_BYTES: Final = 64 * 1024
"""No longer frame is kept, for the same reason."""


def is_early(state: State, message: Early) -> bool:
    """Whether its view may begin soon, and has not."""
    is_awaited = message.view == state.view and not state.active
    return message.view == state.view + 1 or (is_awaited and isinstance(message, PrePrepare))


def refusal(state: State, message: Early) -> Ignored | None:
    """Why a message for which `is_early` holds is not kept; None if it is."""
    if reason := checkpoint.watermark_refusal(state, message.seq):
        return reason
    kept = state.early.get((message.view, message.replica, type(message)), {})
    held = kept.get(message.seq)
    if held is not None:
        return Ignored.DUPLICATE if held.digest == message.digest else Ignored.CONFLICTING
    return _of_no_use(state, message) if len(kept) >= min(SEATS, state.settings.pipeline) else None


def refusal_of_length(state: State, message: Message, size: int) -> Ignored | None:
    """Why an early message in a frame of `size` bytes is not kept, whatever it says; None if that is no reason."""
    if size > MAX_BYTES and isinstance(message, Early) and is_early(state, message):
        return _of_no_use(state, message)
    return None


def _of_no_use(state: State, message: Early) -> Ignored:
    return Ignored.FUTURE_VIEW if message.view > state.view else Ignored.NOT_ACTIVE


def keep(state: State, message: Early) -> None:
    """Keeps what `refusal` let through."""
    state.early.setdefault((message.view, message.replica, type(message)), {})[message.seq] = message


def take(state: State) -> list[Early]:
    """Hands out what is early no more, be it that its view is over. Asked again in the same view, it has nothing."""
    now = state.view, state.active
    if state.early_at == now:
        return []
    state.early_at = now
    found: list[Early] = []
    for key, kept in list(state.early.items()):
        if not any(is_early(state, message) for message in kept.values()):  # of one view and kind, all or none
            found += [message for _, message in sorted(kept.items())]
            del state.early[key]
    return found
