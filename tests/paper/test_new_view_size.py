"""A NEW-VIEW fits a frame, whatever its VIEW-CHANGEs hold: or no view could ever begin (OSDI'99 §4.3, §4.4)."""

import pytest

from bftledger.base.errors import BadProof
from bftledger.base.ids import ReplicaId, View
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.messages import Message, NewView, PrePrepare, ViewChange
from bftledger.pbft.replica import Replica
from bftledger.pbft.settings import Settings
from bftledger.pbft.view_change import re_proposals
from tests.builders import FAST, GENESIS_BLOCK, Writer


def view_change(writer: Writer, by: int, count: int) -> ViewChange:
    """It holds a certificate for each of so many numbers from 1 on."""
    return writer.view_change(by, prepared=[writer.prepared(seq=seq, of=None) for seq in range(1, count + 1)])


def authentic(writer: Writer, message: Message) -> Message | None:
    return Authenticator(writer.group, FAST.verifier).authenticate(wire.encode(message))


@pytest.mark.parametrize("n", [4, 25, 64])
def test_a_new_view_fits_a_frame_though_f_of_its_view_changes_hold_all_that_the_door_lets_in(n: int) -> None:
    """§4.3: L is how many numbers the log spans; a VIEW-CHANGE has no more certificates than that."""
    writer = Writer(n)
    most = largest_window(n)
    full = view_change(writer, 0, most)
    sizes = {count: len(wire.encode(view_change(writer, 0, count))) for count in (0, most)}
    changes = (full, *(view_change(writer, i, 0) for i in range(1, writer.group.quorum)))
    assigned = tuple(
        writer.signed(PrePrepare(view=View(1), seq=seq, digest=digest, replica=ReplicaId(1), signature=wire.UNSIGNED))
        for seq, digest in re_proposals(changes)[1]
    )
    new_view = NewView(
        view=View(1), view_changes=changes, pre_prepares=assigned, replica=ReplicaId(1), signature=wire.UNSIGNED
    )
    others = (writer.group.quorum - 1) * (sizes[most] - sizes[0])

    assert authentic(writer, full) == full
    assert len(wire.encode(new_view)) + others <= MAX_FRAME_BYTES


@pytest.mark.parametrize("n", [25, 64])
def test_a_view_change_with_more_is_refused(n: int) -> None:
    """§4.3: "h < n ≤ H"; that each certificate is genuine, of a time long ago, makes it no better."""
    writer = Writer(n)

    with pytest.raises(BadProof, match="between the watermarks"):
        authentic(writer, view_change(writer, 0, largest_window(n) + 1))


def test_what_a_view_change_may_hold_follows_from_n_alone() -> None:
    """Not from settings, which change: a proof that some refuse and others rely on would halt the group."""
    far = Writer(4).prepared(seq=largest_window(4))
    change = Writer(4).view_change(0, prepared=[far])

    assert authentic(Writer(4), change) == change
    assert largest_window(4) > Settings().window


def test_no_replica_runs_with_a_window_whose_proofs_others_would_refuse() -> None:
    settings = Settings(window=largest_window(25) + 1)

    with pytest.raises(AssertionError, match="fit a frame"):
        Replica(ReplicaId(0), FAST.group(25), FAST.signer("replica 0"), settings, genesis_block=GENESIS_BLOCK)
