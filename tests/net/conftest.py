from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.net.wires import Wires


@pytest.fixture
def wires(tmp_path: Path) -> Iterator[Wires]:
    with ExitStack() as stack:
        yield Wires(stack, tmp_path)
