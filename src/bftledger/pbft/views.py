"""From one view to the next (OSDI'99 §4.4): what follows in all phases when a view is left, and when one begins.

The rules of view changes themselves are in `view_change`.
"""

from bftledger.base.ids import View
from bftledger.pbft import checkpoint, normal, testimony, transfer, view_change
from bftledger.pbft.effects import Broadcast, Effect, Ignored
from bftledger.pbft.messages import NewView, ViewChange
from bftledger.pbft.state import State


def on_view_change(state: State, message: ViewChange) -> list[Effect]:
    """Somebody leaves the view: perhaps this replica has to join."""
    effects = view_change.on_view_change(state, message)
    if message.stable is not None:
        effects += checkpoint.adopt(state, message.stable)
    joined = view_change.view_to_join(state)
    return effects + (transfer.fetch_named(state, message) if joined is None else leave_for(state, joined))


def leave_for(state: State, view: View) -> list[Effect]:
    """This replica leaves its view, and waits for `view` to begin."""
    return view_change.start(state, view) + transfer.fetch_proposals(state)


def begin(state: State) -> list[Effect]:
    """As the primary of a view that enough replicas wait for: begins it."""
    message = view_change.make_new_view(state)
    if message is None:
        return []
    return [*testimony.hear(state, message), *_enter(state, message), Broadcast(message)]


def on_new_view(state: State, message: NewView) -> list[Effect] | Ignored:
    """The primary of a view begins it: rightly, or not at all."""
    if not view_change.follows(message):
        return Ignored.WRONG_NEW_VIEW
    return _enter(state, message)


def _enter(state: State, message: NewView) -> list[Effect]:
    """Who knows that a quorum has executed what O assigns says so at once: nobody else could get it decided again, and
    those who do not know would wait for it."""
    effects: list[Effect] = []
    stable, _ = view_change.re_proposals(message.view_changes)
    if stable is not None:
        effects += checkpoint.adopt(state, stable)
    effects += view_change.enter(state, message)
    if any(each.seq <= state.low for each in message.pre_prepares):
        effects += [Broadcast(proof) for proof in checkpoint.proof(state)]
    effects += accept_announced(state)
    return effects + transfer.fetch_proposals(state)


def accept_announced(state: State) -> list[Effect]:
    """Accepts what a NEW-VIEW assigns, as far as the proposals are here."""
    effects: list[Effect] = []
    for pre_prepare, proposal in transfer.announced_with_proposal(state):
        effects += normal.accept(state, pre_prepare, proposal)
    return effects
