"""The store in memory, for tests and simulations: the same promises, and a crash on demand."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from bftledger.base.errors import StoreError
from bftledger.base.ids import Digest, ReplicaId, Seq, TxId, View
from bftledger.pbft import wire
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.memory import SPAN
from bftledger.pbft.messages import CheckpointCertificate, NewView, PrePrepare, Testimony
from bftledger.storage.store import NEWEST_VIEW_ONLY, VOID_IN_THE_NEXT_VIEW, BlockRows, Place, Slot, Vote, slot_of

_GONE: Final = object()


class MemoryStore:
    """Implements `Store`. `crash` is what pulls the plug; the store that remains is what a restart finds."""

    def __init__(self) -> None:
        self._is_closed = False
        self._votes: dict[Slot, Vote] = {}
        self._proposals: dict[tuple[Seq, Digest], PrePrepare] = {}
        self._evidence: dict[tuple[ReplicaId, str], Evidence] = {}
        self._blocks: dict[Seq, BlockRows] = {}
        self._certificates: dict[Seq, CheckpointCertificate] = {}
        self._decisions: dict[Seq, Testimony] = {}
        self._places: dict[TxId, Place] = {}
        self._history: dict[tuple[int, int], Digest] = {}
        self._state: dict[bytes, bytes] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    @property
    def name(self) -> str:
        return "the store in memory"

    # ── the round under way ──

    def save_vote(self, vote: Vote) -> None:
        self._require_open()
        slot = slot_of(vote)
        if isinstance(vote, PrePrepare) and vote.proposal is not None:
            self._set(self._proposals, (slot.seq, vote.digest), vote)
            vote = replace(vote, proposal=None)
        if slot.kind in NEWEST_VIEW_ONLY:
            rivals = [other for other in self._votes if other[:2] == slot[:2]]
            if any(other.view > slot.view for other in rivals):
                return
            for other in rivals:
                self._remove(self._votes, other)
        self._set(self._votes, slot, vote)
        if isinstance(vote, NewView):
            self._forget_views_before(vote.view)

    def _forget_views_before(self, view: View) -> None:
        for slot in [slot for slot in self._votes if slot.view < view]:
            is_needed = slot.kind == "PRE-PREPARE" and Slot(slot.seq, "PREPARED", slot.view) in self._votes
            if slot.kind in VOID_IN_THE_NEXT_VIEW and not is_needed:
                self._remove(self._votes, slot)
        named = {(vote.seq, vote.digest) for vote in self._votes.values() if isinstance(vote, PrePrepare)}
        for key in [key for key in self._proposals if key not in named]:
            self._remove(self._proposals, key)

    def save_block(self, rows: BlockRows) -> None:
        self._require_open()
        assert rows.height == self.height() + 1, "blocks are appended one by one"
        self._set(self._blocks, rows.height, rows)
        for position, tx_id in enumerate(rows.tx_ids):
            self._set(self._places, tx_id, Place(rows.height, position))
        for level, position, node in rows.history:
            self._set(self._history, (level, position), node)
        for key, value in rows.state.items():
            if value is None:
                self._remove(self._state, key)
            else:
                self._set(self._state, key, value)

    def save_certificate(self, certificate: CheckpointCertificate) -> None:
        self._require_open()
        self._set(self._certificates, certificate.seq, certificate)

    def discard_votes(self, upto: Seq) -> None:
        self._require_open()
        for slot in [slot for slot in self._votes if 1 <= slot.seq <= upto]:
            self._remove(self._votes, slot)
        for key in [key for key in self._proposals if key[0] <= upto]:
            self._remove(self._proposals, key)

    def save_decision(self, height: Seq, commits: Testimony) -> None:
        self._require_open()
        self._set(self._decisions, height, commits)
        for old in [old for old in self._decisions if old <= height - SPAN]:
            self._remove(self._decisions, old)

    def save_evidence(self, evidence: Evidence) -> None:
        self._require_open()
        key = evidence.replica, evidence.rule.value
        if key not in self._evidence:
            self._set(self._evidence, key, evidence)

    def commit(self) -> None:
        self._require_open()
        self._undo.clear()

    def crash(self) -> None:
        """Loses the round that was not committed, and reopens."""
        self._is_closed = False
        self.abandon()

    def abandon(self) -> None:
        self._require_open()
        while self._undo:
            table, key, value = self._undo.pop()
            if value is _GONE:
                del table[key]
            else:
                table[key] = value

    def close(self) -> None:
        self.crash()
        self._is_closed = True

    # ── votes ──

    def votes(self) -> Iterator[tuple[Slot, bytes]]:
        self._require_open()
        for slot, vote in sorted(self._votes.items()):
            yield slot, wire.encode(self._with_proposal(slot, vote))

    def _with_proposal(self, slot: Slot, vote: Vote) -> Vote:
        if not isinstance(vote, PrePrepare):
            return vote
        known = self._proposals.get((slot.seq, vote.digest))
        return vote if known is None else replace(vote, proposal=known.proposal)

    # ── evidence ──

    def evidence(self) -> Iterator[tuple[ReplicaId, str, bytes]]:
        self._require_open()
        for (replica, rule), found in sorted(self._evidence.items()):
            yield replica, rule, found.encode()

    # ── blocks and certificates ──

    def height(self) -> Seq:
        self._require_open()
        return Seq(len(self._blocks))

    def block(self, height: Seq) -> bytes | None:
        self._require_open()
        rows = self._blocks.get(height)
        return None if rows is None else rows.block

    def block_hash(self, height: Seq) -> Digest | None:
        self._require_open()
        rows = self._blocks.get(height)
        return None if rows is None else rows.block_hash

    def blocks(self, first: Seq, count: int, max_bytes: int) -> list[bytes]:
        found: list[bytes] = []
        total = 0
        while len(found) < count and (block := self.block(Seq(first + len(found)))) is not None:
            total += len(block)
            if found and total > max_bytes:
                break
            found.append(block)
        return found

    def headers(self, first: Seq, last: Seq) -> list[bytes]:
        self._require_open()
        heights = range(max(first, 1), min(last, len(self._blocks)) + 1)
        return [self._blocks[Seq(height)].header for height in heights]

    def certificate(self, height: Seq) -> CheckpointCertificate | None:
        self._require_open()
        return self._certificates.get(height)

    def decision(self, height: Seq) -> bytes | None:
        self._require_open()
        kept = self._decisions.get(height)
        return None if kept is None else wire.encode(kept)

    def next_certified(self, height: Seq) -> Seq | None:
        self._require_open()
        return min((certified for certified in self._certificates if certified >= height), default=None)

    def last_certified(self, height: Seq) -> Seq | None:
        self._require_open()
        return max((certified for certified in self._certificates if certified <= height), default=None)

    def newest_certificate(self) -> CheckpointCertificate | None:
        self._require_open()
        return self.certificate(max(self._certificates)) if self._certificates else None

    # ── what is derived from the blocks ──

    def locate(self, ids: Iterable[TxId]) -> dict[TxId, Place]:
        self._require_open()
        return {tx_id: self._places[tx_id] for tx_id in ids if tx_id in self._places}

    def contains(self, ids: Collection[TxId]) -> set[TxId]:
        return set(self.locate(ids))

    def history_node(self, level: int, position: int) -> Digest:
        self._require_open()
        if (level, position) not in self._history:
            raise StoreError(f"{self.name}: history, level {level}, position {position}: is missing")
        return self._history[level, position]

    def state_row(self, key: bytes) -> bytes | None:
        self._require_open()
        return self._state.get(key)

    def state_rows(self) -> Iterator[tuple[bytes, bytes]]:
        self._require_open()
        yield from sorted(self._state.items())

    # ── changes that can be taken back ──

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _GONE)))
        table[key] = value

    def _remove(self, table: dict[Any, Any], key: Any) -> None:
        if key in table:
            self._undo.append((table, key, table.pop(key)))

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self.name}: is closed")
