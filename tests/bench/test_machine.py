"""What a result says of the machine."""

import os
from pathlib import Path

import pytest

from bftledger.bench import machine


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("9900000 100000", 8),
        ("", 8),
    ],
)
def test_a_container_has_no_more_cores_than_its_quota(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the ceiling would be that of the whole host."""
    tmp_path.joinpath("cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    assert machine.cores() == cores


def test_without_a_quota_it_is_what_the_system_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "none")

    assert machine.cores() == len(os.sched_getaffinity(0))
