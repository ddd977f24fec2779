"""What tests of a replica's work for clients share."""

import pytest

from bftledger.base.ids import Seq
from bftledger.engine.archive import Archive
from bftledger.ledger.block import Block


@pytest.fixture
def blocks_read(monkeypatch: pytest.MonkeyPatch) -> list[Seq]:
    """Which blocks were read back, since this was last cleared."""
    heights: list[Seq] = []
    block = Archive.block

    def noting(archive: Archive, height: Seq) -> Block:
        heights.append(height)
        return block(archive, height)

    monkeypatch.setattr(Archive, "block", noting)
    return heights
