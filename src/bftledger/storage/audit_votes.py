"""The audit of what replicas signed: certificates, votes, the proposals that votes are about, and evidence."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Seq, View
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Prepare,
    PrePrepare,
    Testimony,
    ViewChange,
)
from bftledger.pbft.proposals import decode_proposal
from bftledger.storage.recall import authentic_decision, authentic_vote, proven
from bftledger.storage.report import Findings
from bftledger.storage.store import Slot

_OWN: Final = (Prepare, Commit, Checkpoint, ViewChange)
"""The kinds of which a replica stores only its own."""


class VotesAudit:
    """Checks the tables certificates, decisions, votes, proposals and evidence.

    `replica`: whose store it is, None if that is unknown.
    """

    def __init__(
        self, db: sqlite3.Connection, findings: Findings, group: Group, verifier: Verifier, replica: int | None
    ) -> None:
        self._db = db
        self._findings = findings
        self._group = group
        self._genesis_hash = group.genesis_hash
        self._verifier = verifier
        self._authenticator = Authenticator(group, verifier)
        self._replica = replica
        self._proposed: set[tuple[int, bytes]] = set()
        self.certificates = 0
        self.votes = 0
        self.evidence = 0

    def check_certificates(self, hashes: Sequence[Digest | None]) -> None:
        """Each is a quorum's, and of the block at its height (`hashes`, from height 0 on)."""
        for height, frame in self._db.execute("SELECT height, frame FROM certificates ORDER BY height"):
            self.certificates += 1
            try:
                certificate = self._authenticator.authenticate_record(_blob(frame))
                if not isinstance(certificate, CheckpointCertificate) or certificate.seq != height:
                    raise BadProof("is not the certificate of that height")
                if 0 <= height < len(hashes) and hashes[height] not in (None, certificate.block_hash):
                    raise BadProof("certifies another block than the one stored")
            except (BadProof, BadSignature, Malformed) as error:
                self._findings.add("certificates", f"height {height}", error, height)

    def check_votes(self) -> None:
        """Each is authentic, in its place, and, where only this replica's belong, this replica's."""
        for row in self._db.execute("SELECT seq, kind, view, frame FROM votes ORDER BY seq, kind, view"):
            self.votes += 1
            seq, kind, view, frame = row
            slot = Slot(Seq(seq), kind, View(view))
            try:
                vote = authentic_vote(slot, _blob(frame), self._authenticator)
                if isinstance(vote, PrePrepare):
                    if vote.proposal is not None:
                        raise Malformed("holds its proposal, which belongs in the table proposals")
                    self._proposed.add((vote.seq, vote.digest))
                if self._replica is not None and isinstance(vote, _OWN) and vote.replica != self._replica:
                    raise BadProof(f"is of replica {vote.replica} in the store of replica {self._replica}")
            except (BadProof, BadSignature, Malformed) as error:
                self._findings.add("votes", str(slot), error, seq)

    def check_decisions(self) -> None:
        """Each is a quorum's authentic COMMITs to one proposal, kept by this replica with a block that is here."""
        (tip,) = self._db.execute("SELECT coalesce(max(height), 0) FROM blocks").fetchone()
        for height, frame in self._db.execute("SELECT height, frame FROM decisions ORDER BY height"):
            try:
                commits = authentic_decision(height, _blob(frame), self._authenticator)
                if self._replica is not None and commits.replica != self._replica:
                    raise BadProof(f"is of replica {commits.replica} in the store of replica {self._replica}")
                if not decides(commits, self._group):
                    raise BadProof("is not a quorum's COMMITs to one proposal")
                if height > tip:
                    raise BadProof(f"is of a block that is not here: the newest is {tip}")
            except (BadProof, BadSignature, Malformed) as error:
                self._findings.add("decisions", f"height {height}", error, height)

    def check_evidence(self) -> None:
        """Each piece convicts the replica that it stands for, by the rule that it stands for."""
        for replica, rule, proof in self._db.execute("SELECT replica, rule, proof FROM evidence"):
            self.evidence += 1
            try:
                proven(replica, rule, _blob(proof), self._group, self._verifier)
            except (BadProof, BadSignature, Malformed) as error:
                self._findings.add("evidence", f"replica {replica}, {rule}", error)

    def check_proposals(self) -> None:
        """Each is what a PRE-PREPARE of the table votes names, and its transactions are signed."""
        for seq, digest, data in self._db.execute("SELECT seq, digest, proposal FROM proposals"):
            where = f"seq {seq}, digest {digest.hex()[:16] if isinstance(digest, bytes) else repr(digest)}…"
            try:
                proposal = decode_proposal(_blob(data), self._genesis_hash)
                if proposal.digest != digest:
                    raise BadProof("is not what its digest stands for")
                if (seq, digest) not in self._proposed:
                    raise BadProof("is named by no PRE-PREPARE with this sequence number")
                for transaction in proposal.transactions:
                    transaction.verify(self._verifier)
            except (BadProof, BadSignature, Malformed) as error:
                self._findings.add("proposals", where, error, seq)


def decides(commits: Testimony, group: Group) -> bool:
    """Whether these COMMITs for one height decide it: a quorum's, in one view, to one proposal."""
    named = {(vote.view, vote.digest) for vote in commits.messages if isinstance(vote, Commit)}
    return len(named) == 1 and len({vote.replica for vote in commits.messages}) >= group.quorum


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("is not stored as bytes")
    return value
