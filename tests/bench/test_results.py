"""The form of every result: which sources it is of."""

from dataclasses import replace

import pytest

from bftledger.bench import machine
from tests.bench.attack_runs import a_setting


@pytest.mark.parametrize(
    ("begun", "now", "said"),
    [
        ("1234", "1234", "1234"),
        ("1234+", "1234+", "1234+"),
        ("1234", "5678", "1234+"),
        ("1234", "1234+", "1234+"),
        ("1234+", "1234", "1234+"),
        (None, None, None),
    ],
)
def test_sources_that_were_changed_while_it_was_measured_are_not_those_of_a_commit(
    begun: str | None, now: str | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas and clients are started from them until the end."""
    setting = replace(a_setting(), commit=begun)
    monkeypatch.setattr(machine, "commit", lambda: now)

    assert setting.result([])["commit"] == said
