"""The quickstart as a user types it: every command a process, the replicas four more."""

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from bftledger.cli.output import NOT_DONE, UNDECIDED
from bftledger.home.home import Home
from bftledger.node.presence import running
from tests.cli.commands import Here, bftledger, environment, taken_down


def test_the_quickstart(tmp_path: Path, here: Here) -> None:
    """Up, submit, get, tx, receipt, down; and the receipt verified where there is nothing but it and the genesis."""
    here.ok("key", "new", "alice", "--insecure")
    with taken_down(here.home):
        up = bftledger("--home", "G", "up", "--detach", cwd=tmp_path)
        assert (up.status, "4 replicas running" in up.out) == (0, True), up.err
        assert "is up already" in here.ok("up").out

        submitted = here.ok("submit", "--key", "alice", "put", "color", "blue", "--json").json
        tx = submitted["tx"]
        assert (submitted["state"], submitted["result"]) == ("committed", "version 1")
        got = here.ok("get", "color", "--read", "linearizable", "--json").json
        assert got["result"]["value"] == "blue"
        assert len(got["signers"]) >= 3
        assert here.ok("tx", tx).out.startswith("committed\n")
        rejected = here("submit", "cas", "color", "7", "red")
        assert (rejected.status, "the version is 1, not 7" in rejected.error) == (NOT_DONE, True)
        newest = here.ok("blocks", "--json").json[0]
        assert here.ok("block", str(newest["height"]), "--json").json["block"] == newest["block"]
        here.ok("receipt", tx, "-o", "r.cbor")
        assert here.ok("status", "--json").json["working"]

        assert here.ok("down", "--json").json == {"stopped": [0, 1, 2, 3], "killed": []}

    lost = here("submit", "put", "color", "red", "--timeout", "1", "--json")
    assert (lost.status, lost.json["state"]) == (UNDECIDED, "no_quorum")
    assert lost.json["tx"] in lost.error
    audited = here.ok("audit", "--json").json
    assert (audited["ok"], len({ledger["block"] for ledger in audited["ledgers"]})) == (True, 1)

    damaged = here.home / "data" / "replica-2" / "ledger.db"
    with closing(sqlite3.connect(damaged)) as db, db:
        db.execute("UPDATE transactions SET position = 1 WHERE height = 1")
    found = here("audit")
    assert found.status == NOT_DONE
    assert f"{damaged}: transactions, " in found.out
    assert "it is in block 1" in found.out

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "r.cbor").write_bytes((tmp_path / "r.cbor").read_bytes())
    (elsewhere / "genesis.json").write_bytes((here.home / "genesis.json").read_bytes())
    verified = bftledger("verify", "r.cbor", "--json", cwd=elsewhere).json
    assert (verified["valid"], verified["operation"]) == (True, "put color blue")
    receipt = bytearray((elsewhere / "r.cbor").read_bytes())
    receipt[len(receipt) // 2] ^= 1
    (elsewhere / "r.cbor").write_bytes(receipt)
    forged = bftledger("verify", "r.cbor", cwd=elsewhere)
    assert (forged.status, "r.cbor: proves nothing" in forged.error) == (NOT_DONE, True)


def test_many_operations_come_from_standard_input_and_a_bad_line_is_named(tmp_path: Path, here: Here) -> None:
    here.ok("key", "new", "alice", "--insecure")
    with taken_down(here.home):
        assert bftledger("--home", "G", "up", "--detach", cwd=tmp_path).status == 0

        many = bftledger(
            "--home", "G", "submit", "-", "--json", cwd=tmp_path, stdin="put a 1\n# a comment\nput 'b c' \"2 3\"\n"
        )
        assert [item["operation"] for item in many.json] == ["put a 1", "put b c 2 3"]

        bad = bftledger("--home", "G", "submit", "-", cwd=tmp_path, stdin="put a 1\nnonsense\nput a 2\n")
        assert (bad.status, "line 2: not understood" in bad.error) == (NOT_DONE, True)
        assert bad.out.startswith("committed  ")
        assert bad.out.count("\n") == 1

        # What reads standard input has more to hand over, and nobody is left who takes it: that is no defect.
        bad = bftledger("--home", "G", "submit", "-", cwd=tmp_path, stdin="nonsense\n" + "put a 1\n" * 10_000)
        assert bad.error.startswith("line 1: not understood")


def test_a_group_in_the_foreground_dies_with_its_supervisor(tmp_path: Path) -> None:
    home = tmp_path / "G"
    with taken_down(home):
        with supervisor(home) as process:
            group = Home.open(home)
            pids = [pid for i in group.replicas_here() if (pid := running(group, i)) is not None]
            handles = [os.pidfd_open(pid) for pid in pids]
            process.kill()

        assert len(handles) == 4
        for handle in handles:
            assert select.select([handle], [], [], 10)[0]
            os.close(handle)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_the_group_down_in_order(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / "G"
    with taken_down(home):
        with supervisor(home) as process:
            process.send_signal(number)
        group = Home.open(home)

        assert process.returncode == 0
        assert [running(group, i) for i in group.replicas_here()] == [None] * 4
        assert all("stopped at block" in group.log_path(i).read_text() for i in group.replicas_here())


def test_up_fails_with_the_last_words_of_a_replica_that_cannot_start_and_leaves_no_process(tmp_path: Path) -> None:
    home = tmp_path / "G"
    assert bftledger("--home", "G", "init", cwd=tmp_path).status == 0
    group = Home.open(home)
    host, _, port = group.config.replicas[2].client_bind.removeprefix("tcp://").rpartition(":")

    with taken_down(home), socket.create_server((host, int(port))):
        up = bftledger("--home", "G", "up", "--detach", cwd=tmp_path)

        assert up.status == NOT_DONE
        assert up.error.startswith(f"replica 2 did not stay up: tcp://{host}:{port} is already in use")
        assert [running(group, i) for i in group.replicas_here()] == [None] * 4


def test_the_demo_holds(tmp_path: Path) -> None:
    said = bftledger("demo", "--transactions", "100", "--home", "D", "--json", cwd=tmp_path)

    assert said.status == 0, said.err
    assert said.json["ok"]
    assert said.json["view"] >= 1
    assert said.json["transactions"] == 100


@contextmanager
def supervisor(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`up` in the foreground, ready; it has ended when this is left."""
    command = [sys.executable, "-m", "bftledger", "--home", str(home), "up"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        try:
            assert up.stdout is not None
            said = list(takewhile(lambda line: "4 replicas running" not in line, up.stdout))
            assert up.poll() is None, said
            yield up
            up.stdout.read()  # to its end: what it still says must find a reader
        except BaseException:
            up.kill()
            raise
