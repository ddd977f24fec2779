"""Evidence on the command line: listed, shown, exported, and checked by whoever has the genesis."""

from dataclasses import replace
from pathlib import Path

import pytest

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.cli import output
from bftledger.cli.output import USAGE
from bftledger.home.home import Home
from bftledger.pbft import wire
from bftledger.pbft.evidence import Evidence, evidence
from bftledger.pbft.messages import Commit, PrePrepare, ViewChange
from bftledger.storage.sqlite import SqliteStore
from tests.cli.commands import Here

BOB, EVE = Digest(b"b" * 32), Digest(b"e" * 32)


def signed(home: Home, message: wire.M) -> wire.M:
    return wire.sign(message, home.secrets(message.replica).signer, home.genesis.genesis_hash)


def two_proposals(home: Home, by: int) -> Evidence:
    first, second = (
        PrePrepare(view=View(by), seq=Seq(7), digest=digest, replica=ReplicaId(by), signature=wire.UNSIGNED)
        for digest in (BOB, EVE)
    )
    return proven(signed(home, first), signed(home, second))


def a_hidden_commit(home: Home, by: int) -> Evidence:
    commit = Commit(view=View(0), seq=Seq(7), digest=BOB, replica=ReplicaId(by), signature=wire.UNSIGNED)
    change = ViewChange(view=View(1), stable=None, prepared=(), replica=ReplicaId(by), signature=wire.UNSIGNED)
    return proven(signed(home, commit), signed(home, change))


def proven(first: PrePrepare | Commit, second: PrePrepare | ViewChange) -> Evidence:
    found = evidence(first, second)
    assert found is not None
    return found


def keep(home: Home, replica: int, *pieces: Evidence) -> None:
    """The store of a replica that found these."""
    home.make_directories(replica)
    store = SqliteStore(home.ledger_path(replica), home.genesis.genesis_hash, ReplicaId(replica))
    for piece in pieces:
        store.save_evidence(piece)
    store.commit()
    store.close()


@pytest.fixture
def home(here: Here) -> Home:
    """A group in which replica 3 broke two rules; replica 0 knows of one of them, replica 1 of both."""
    here.ok("init")
    home = Home.open(here.home)
    keep(home, 0, two_proposals(home, 3))
    keep(home, 1, two_proposals(home, 3), a_hidden_commit(home, 3))
    keep(home, 2)
    return home


def test_evidence_is_listed_with_what_the_replica_did_and_who_keeps_it(here: Here, home: Home) -> None:
    said = here.ok("evidence", "list")

    hidden = f"replica 3 committed to {'62' * 8}… for sequence number 7 in view 0, and hid that when it left for view 1"
    twice = f"replica 3 signed two proposals for sequence number 7 in view 3: {'62' * 8}… and {'65' * 8}…"
    assert said.out.splitlines()[1:] == [
        "      3  hidden-commit  replica 1",
        "      3  two-proposals  replica 0, replica 1",
        f"{hidden}: no correct replica does",
        f"{twice}: no correct replica does",
    ]


def test_where_there_is_none_that_is_said(here: Here, home: Home) -> None:
    said = here.ok("evidence", "list", str(home.ledger_path(2)))

    assert said.out == "no evidence against any replica\n"
    assert here.ok("evidence", "list", str(home.ledger_path(2).parent), "--json").json == []


def test_evidence_is_listed_for_programs(here: Here, home: Home) -> None:
    hidden, proposals = here.ok("evidence", "list", "--json").json

    assert (proposals["replica"], proposals["rule"], proposals["stores"]) == (
        3,
        "two-proposals",
        ["replica 0", "replica 1"],
    )
    assert [message["kind"] for message in hidden["messages"]] == ["COMMIT", "VIEW-CHANGE"]
    assert sorted(message["digest"] for message in proposals["messages"]) == [BOB.hex(), EVE.hex()]


def test_the_messages_are_shown(here: Here, home: Home) -> None:
    said = here.ok("evidence", "show", "3")

    assert said.out.count("PRE-PREPARE") == 2
    assert BOB.hex() in said.out
    assert two_proposals(home, 3).first.signature.hex() in said.out
    assert here("evidence", "show", "2").error == "there is no evidence against replica 2"


def test_exported_evidence_convinces_whoever_has_the_genesis(here: Here, home: Home, tmp_path: Path) -> None:
    written = here.ok("evidence", "export", "-o", "e.cbor")
    (tmp_path / "genesis.json").write_bytes(home.genesis_path.read_bytes())

    said = here.ok("--home", str(tmp_path / "no home"), "evidence", "verify", "e.cbor")

    assert written.out == "2 pieces of evidence written to e.cbor\n"
    assert said.out.splitlines() == [
        f"proven: {found}: no correct replica does" for found in (a_hidden_commit(home, 3), two_proposals(home, 3))
    ]
    assert here.ok("evidence", "verify", "e.cbor", "--json").json["valid"] is True


def test_evidence_against_some_only(here: Here, home: Home) -> None:
    keep(home, 2, two_proposals(home, 1))

    here.ok("evidence", "export", "1", "-o", "e.cbor")

    (found,) = here.ok("evidence", "verify", "e.cbor", "--json").json["evidence"]
    assert found["replica"] == 1
    assert here("evidence", "export", "2", "-o", "e.cbor").status == 1


def test_without_a_command_it_says_what_there_is(here: Here) -> None:
    said = here("evidence")

    assert said.status == USAGE
    assert all(f"\n  {command}" in said.out for command in ("list", "show", "export", "verify"))
    assert said.err == ""


def test_what_is_told_of_evidence_fits_a_narrow_terminal(
    here: Here, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    here.ok("evidence", "export", "-o", "e.cbor")
    (Path.cwd() / "genesis.json").write_bytes(home.genesis_path.read_bytes())

    for command in (["list"], ["verify", "e.cbor"]):
        lines = here.ok("evidence", *command).out.splitlines()
        assert max(len(line) for line in lines) <= 60


def test_nothing_is_exported_where_there_is_nothing(here: Here) -> None:
    here.ok("init")
    keep(Home.open(here.home), 0)

    assert here("evidence", "export", "-o", "e.cbor").error == "there is no evidence to export"
    assert not Path("e.cbor").exists()


def test_changed_evidence_and_that_of_another_group_convict_nobody(here: Here, home: Home, tmp_path: Path) -> None:
    here.ok("evidence", "export", "-o", "e.cbor")
    data = bytearray(Path("e.cbor").read_bytes())
    data[100] ^= 1
    Path("changed.cbor").write_bytes(data)

    changed = here("evidence", "verify", "changed.cbor")
    here.ok("--home", str(tmp_path / "other"), "init")
    foreign = here("evidence", "verify", "e.cbor", "--genesis", "other/genesis.json")
    as_json = here("evidence", "verify", "changed.cbor", "--json")

    assert changed.status == foreign.status == as_json.status == 1
    assert changed.error.startswith("changed.cbor: convicts nobody in the group of G/genesis.json: ")
    assert foreign.error.startswith("e.cbor: convicts nobody in the group of other/genesis.json: ")
    assert as_json.json["valid"] is False


def test_a_store_whose_evidence_was_changed_is_named(here: Here, home: Home) -> None:
    path = home.ledger_path(0)
    found = two_proposals(home, 3)
    keep(home, 0, replace(found, rule=a_hidden_commit(home, 3).rule))

    error = here("evidence", "list").error
    assert error == f"{path}: evidence, replica 3, hidden-commit: is against replica 3 by two-proposals"
