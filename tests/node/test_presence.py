"""A replica runs once, and a pid file names a process only while that process holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.home.home import Home
from bftledger.node import presence
from bftledger.node.presence import Presence, RunningReplica, last_line, running

REPLICA = ReplicaId(2)

HOLD = """
import sys
from pathlib import Path
from bftledger.base.ids import ReplicaId
from bftledger.home.home import Home
from bftledger.node.presence import Presence
with Presence(Home(Path(sys.argv[1])), ReplicaId(2)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(presence, "_PATIENCE_S", 0.0)
    return Home(tmp_path)


def holder(home: Home) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_holds_the_pid_file_is_running_until_it_lets_go(home: Home) -> None:
    assert running(home, REPLICA) is None

    with Presence(home, REPLICA):
        assert running(home, REPLICA) == os.getpid()
        assert running(home, ReplicaId(1)) is None

    assert running(home, REPLICA) is None


def test_a_replica_does_not_run_twice(home: Home) -> None:
    with (
        Presence(home, REPLICA),
        pytest.raises(OperatorError, match=rf"replica 2 .* is running already \(process {os.getpid()}\)"),
    ):
        Presence(home, REPLICA)


def test_looking_at_who_runs_keeps_nobody_from_starting(home: Home) -> None:
    with Presence(home, REPLICA):
        pass
    assert running(home, REPLICA) is None

    with Presence(home, REPLICA):
        assert running(home, REPLICA) == os.getpid()


def test_a_number_that_was_left_behind_is_nobodys(home: Home) -> None:
    """Another program may have it by now."""
    home.run_path.mkdir()
    home.pid_path(REPLICA).write_text(f"{os.getpid()}\n")

    assert running(home, REPLICA) is None
    assert RunningReplica.find(home, REPLICA) is None


def test_a_killed_process_runs_no_more_and_its_place_is_free(home: Home) -> None:
    with holder(home) as process:
        assert running(home, REPLICA) == process.pid
        process.kill()

    assert running(home, REPLICA) is None
    Presence(home, REPLICA).release()


def test_a_running_replica_is_signalled_and_waited_for_by_whoever_finds_it(home: Home) -> None:
    with holder(home) as process:
        found = RunningReplica.find(home, REPLICA)
        assert found is not None
        assert found.pid == process.pid
        assert not found.wait(0)
        found.send(signal.SIGTERM)
        assert found.wait(10)
        found.send(signal.SIGTERM)  # to nobody
        found.close()

    assert process.returncode == -signal.SIGTERM


def test_the_last_words_of_a_log_are_those_since_the_start(tmp_path: Path) -> None:
    log = tmp_path / "replica.log"
    log.write_text("first run\n")
    start = log.stat().st_size

    assert last_line(log, start) == ""
    with log.open("a") as file:
        file.write("second run\nthe port is taken\n\n")
    assert last_line(log, start) == "the port is taken"
    assert last_line(tmp_path / "missing") == ""
