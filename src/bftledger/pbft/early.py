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

from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Commit, Message, Prepare, PrePrepare
from bftledger.pbft.state import State

Early = PrePrepare | Prepare | Commit

MAX_BYTES: Final = 64 * 1024
"""No longer frame is kept of the next view: with the transactions of a few such who leads that could keep all others
busy while the present primary should be heard."""


def is_early(state: State, message: Early) -> bool:
    """Whether its view may begin soon, and has not."""
    is_awaited = message.view == state.view and not state.active
    return message.view == state.view + 1 or (is_awaited and isinstance(message, PrePrepare))


def refusal(state: State, message: Early) -> Ignored | None:
    """Why a message for which `is_early` holds is not kept; None if it is.

    Of a kind no more are kept of a replica than a primary of the same settings has under way at first.
    """
    if message.seq <= state.low:
        return Ignored.BELOW_WATERMARK
    if message.seq > state.high:
        return Ignored.ABOVE_WATERMARK
    kept = state.early.get((message.view, message.replica, type(message)), {})
    held = kept.get(message.seq)
    if held is not None:
        return Ignored.DUPLICATE if held.digest == message.digest else Ignored.CONFLICTING
    if len(kept) >= state.settings.pipeline:
        return Ignored.FUTURE_VIEW if message.view > state.view else Ignored.NOT_ACTIVE
    return None


def is_too_long(state: State, message: Message, size: int) -> bool:
    """Whether a frame of the next view, of `size` bytes, would take too much time to check."""
    return size > MAX_BYTES and isinstance(message, Early) and message.view > state.view


def keep(state: State, message: Early) -> None:
    """Keeps what `refusal` let through."""
    state.early.setdefault((message.view, message.replica, type(message)), {})[message.seq] = message


def take(state: State) -> list[Early]:
    """Hands out what is early no more, be it that its view is over."""
    found: list[Early] = []
    for key, kept in list(state.early.items()):
        ripe = [message for _, message in sorted(kept.items()) if not is_early(state, message)]
        if ripe:
            found += ripe
            del state.early[key]
    return found
