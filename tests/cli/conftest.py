"""A home, and the command line on it."""

from pathlib import Path

import pytest

from tests.cli.commands import Here


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    for name in ("BFTLEDGER_HOME", "BFTLEDGER_PASSPHRASE", "BFTLEDGER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path / "G", capsys)
