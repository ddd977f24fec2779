"""What is measured here is not judged: no script need wait for a quiet machine."""

from collections.abc import Iterator

import pytest

from bftledger.bench.options import WAIT_QUIET_VARIABLE


@pytest.fixture(autouse=True, scope="session")
def _nobody_waits_for_a_quiet_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WAIT_QUIET_VARIABLE, "0")
        yield
