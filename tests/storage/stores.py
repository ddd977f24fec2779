"""A small group, and ledgers of it in stores, as a replica would have written them."""

import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from bftledger.apps.kv import KeyValue
from bftledger.apps.state import AuthenticatedMap
from bftledger.base import transaction
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.ledger.executor import Executed, Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.evidence import Evidence, evidence
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Testimony,
    ViewChange,
)
from bftledger.pbft.proposals import make_proposal
from bftledger.storage.sqlite import SqliteStore
from bftledger.storage.store import BlockRows, Store

SIGNERS = [Ed25519Signer(bytes([i]) * 32) for i in range(1, 5)]
ALICE = Ed25519Signer(bytes([99]) * 32)
START = Millis(1_700_000_000_000)
MACHINE = KeyValue({})
VERIFIER = Ed25519Verifier()
ME = ReplicaId(1)


def a_genesis(name: str = "storage") -> Genesis:
    keys = tuple(ReplicaKeys(signer.public_key, bytes([i]) * 32) for i, signer in enumerate(SIGNERS))
    return Genesis(name=name, created=START, app="kv", replicas=keys)


GENESIS = a_genesis()
HASH = GENESIS.genesis_hash
DOOR = Authenticator(GENESIS.group, VERIFIER)


class Disk:
    """Where a replica's store is; `open` starts the replica on it, `crash` is losing the process."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._stack = stack

    def open(self) -> SqliteStore:
        store = SqliteStore(self.path, HASH, ME)
        self._stack.callback(store.close)
        return store


# ── transactions and votes ──


def tx(number: int, words: str = "") -> Transaction:
    """The number-th transaction of Alice's."""
    payload = MACHINE.parse((words or f"put key{number % 7} value{number}").split())
    created = Millis(START + number)
    expires = Millis(created + 60_000)
    nonce = number.to_bytes(8, "big")
    return transaction.sign(ALICE, HASH, nonce=nonce, created=created, expires=expires, payload=payload)


def proposal(seq: int, *transactions: Transaction) -> Proposal:
    return make_proposal(Millis(START + seq * 10), transactions or (tx(100 * seq), tx(100 * seq + 1)))


def pre_prepare(seq: int, view: int = 0, of: Proposal | None = None) -> PrePrepare:
    """The primary's, with its proposal."""
    of = of or proposal(seq)
    primary = GENESIS.group.primary(View(view))
    unsigned = PrePrepare(
        view=View(view), seq=Seq(seq), digest=of.digest, replica=primary, signature=wire.UNSIGNED, proposal=of
    )
    return wire.sign(unsigned, SIGNERS[primary], HASH)


def prepare(seq: int, view: int = 0, by: int = ME) -> Prepare:
    unsigned = Prepare(
        view=View(view), seq=Seq(seq), digest=proposal(seq).digest, replica=ReplicaId(by), signature=wire.UNSIGNED
    )
    return wire.sign(unsigned, SIGNERS[by], HASH)


def decision(seq: int) -> Testimony:
    """The COMMITs that decided it."""
    votes = tuple(commit(seq, by=i) for i in (0, 1, 2))
    return wire.sign(Testimony(messages=votes, replica=ME, signature=wire.UNSIGNED), SIGNERS[ME], HASH)


def against(replica: int, seq: int = 1) -> Evidence:
    """That it signed two PREPAREs."""
    first = prepare(seq, by=replica)
    second = wire.sign(replace(first, digest=proposal(seq + 1).digest), SIGNERS[replica], HASH)
    found = evidence(first, second)
    assert found is not None
    return found


def commit(seq: int, view: int = 0, by: int = ME) -> Commit:
    unsigned = Commit(
        view=View(view), seq=Seq(seq), digest=proposal(seq).digest, replica=ReplicaId(by), signature=wire.UNSIGNED
    )
    return wire.sign(unsigned, SIGNERS[by], HASH)


def prepared(seq: int, view: int = 0) -> PreparedCertificate:
    primary = GENESIS.group.primary(View(view))
    backups = [replica for replica in GENESIS.group.replicas if replica != primary][:2]
    votes = tuple((replica, prepare(seq, view, replica).signature) for replica in backups)
    without_proposal = PrePrepare(
        view=View(view),
        seq=Seq(seq),
        digest=proposal(seq).digest,
        replica=primary,
        signature=pre_prepare(seq, view).signature,
    )
    return PreparedCertificate(pre_prepare=without_proposal, prepares=votes)


def checkpoint(seq: int, block_hash: Digest = Digest(bytes(32)), by: int = ME) -> Checkpoint:
    unsigned = Checkpoint(seq=Seq(seq), block_hash=block_hash, replica=ReplicaId(by), signature=wire.UNSIGNED)
    return wire.sign(unsigned, SIGNERS[by], HASH)


def certificate(seq: int, block_hash: Digest = Digest(bytes(32))) -> CheckpointCertificate:
    votes = tuple((ReplicaId(i), checkpoint(seq, block_hash, i).signature) for i in range(GENESIS.group.quorum))
    return CheckpointCertificate(seq=Seq(seq), block_hash=block_hash, signatures=votes)


def view_change(view: int, *prepared_ones: PreparedCertificate, by: int = ME) -> ViewChange:
    unsigned = ViewChange(
        view=View(view), stable=None, prepared=prepared_ones, replica=ReplicaId(by), signature=wire.UNSIGNED
    )
    return wire.sign(unsigned, SIGNERS[by], HASH)


def new_view(view: int) -> NewView:
    changes = tuple(view_change(view, by=i) for i in range(GENESIS.group.quorum))
    primary = GENESIS.group.primary(View(view))
    unsigned = NewView(view=View(view), view_changes=changes, pre_prepares=(), replica=primary, signature=wire.UNSIGNED)
    return wire.sign(unsigned, SIGNERS[primary], HASH)


# ── ledgers ──


class Scribe:
    """Executes proposals and saves the blocks in a store, from block 1 on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        state, history = AuthenticatedMap(), History.empty()
        self._genesis = execute_genesis(GENESIS, MACHINE, state, history)
        self._executor = Executor(GENESIS, MACHINE, state, store.contains, history, self._genesis.block.header)

    def write_block(self, *transactions: Transaction, is_certified: bool = True) -> BlockRows:
        """Saves the next block, without a commit."""
        seq = self._executor.tip.height + 1
        rows = self._rows(self._executor.execute(proposal(seq, *transactions)))
        self._store.save_block(rows)
        if is_certified:
            self._store.save_certificate(certificate(rows.height, rows.block_hash))
        return rows

    def _rows(self, executed: Executed) -> BlockRows:
        block, is_first = executed.block, executed.block.height == 1
        return BlockRows(
            height=block.height,
            block_hash=block.hash,
            time=block.header.time,
            header=block.header.encoded,
            block=block.encoded,
            tx_ids=[transaction.id for transaction in executed.transactions],
            state={**(self._genesis.changes if is_first else {}), **executed.changes},
            history=(*(self._genesis.history_nodes if is_first else ()), *executed.history_nodes),
        )


def fill(store: Store, blocks: int = 5) -> Scribe:
    """Writes `blocks` blocks, the second uncertified, and votes of every kind about what comes next; commits."""
    scribe = Scribe(store)
    for height in range(1, blocks + 1):
        rows = scribe.write_block(is_certified=height != 2)
    store.save_vote(view_change(1))
    store.save_vote(new_view(1))  # before the votes, for it would make those of view 0 void
    for seq in (blocks + 1, blocks + 2):
        for vote in (pre_prepare(seq), prepare(seq), prepared(seq), commit(seq)):
            store.save_vote(vote)
    store.save_vote(checkpoint(blocks, rows.block_hash))
    store.save_evidence(against(3))
    store.save_decision(Seq(blocks), decision(blocks))
    store.commit()
    return scribe


def flip(path: Path, table: str, column: str, where: str, offset: int) -> None:
    """Flips one bit of a stored byte string; a negative offset counts from its end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (stored,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        changed = bytearray(stored)
        changed[offset] ^= 1
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(changed),))
