"""Reads, and those of them that wait: for a height that is not executed yet, or for the certificate that proves it.

What can be answered is answered when it is asked, as part of the round's work for requests. Many may wait for one
thing, and when it comes not all of them are answered at once, but in turns, as the rounds' work allows. What they hold
is bounded, and who has most of it makes room for others. What nobody can have yet costs a round nothing (`heights`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bftledger.apps.machine import Rejected
from bftledger.apps.map_proof import MapProof
from bftledger.base.ids import Seq
from bftledger.engine.answers import Answer, Waiter
from bftledger.engine.archive import Archive
from bftledger.engine.heights import ByHeight
from bftledger.engine.opening import Ledger
from bftledger.engine.room import Room
from bftledger.engine.submissions import RETRY_MS
from bftledger.engine.turns import Turns
from bftledger.engine.work import WORK_PER_ANSWER, WORK_PER_PROOF, WORK_PER_REQUEST, WORK_PER_SIGNATURE, Work
from bftledger.ledger.block import Header
from bftledger.ledger.client_messages import (
    AskHeight,
    Busy,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    Refused,
)
from bftledger.pbft.messages import CheckpointCertificate

MAX_WAITING: Final = 4_096
"""So many reads may wait at most, and together they hold no more than as many times"""

READ_BYTES: Final = 4 * 1024
"""so much, as which each read counts; or with its proof and the value that it has found, if they are more."""

_Found = tuple[bytes | None, MapProof]
_Proof = tuple[Header, CheckpointCertificate]


@dataclass(slots=True, eq=False)
class _Read:
    """A read that waits."""

    waiter: Waiter
    request: Query | AskHeight
    height: Seq
    """That is to be executed, or was the newest when it was looked at, and is to be certified."""

    found: _Found | None = None
    """What a certified QUERY asks for, as of `height`."""

    proof: _Proof | None = None
    """The lowest certified header from `height` on, when there is one."""

    size: int = READ_BYTES
    """What it counts as among all that is held, in bytes."""

    among: "ByHeight[_Read] | None" = None
    """The others that wait for the same; None when it is here and their turn has to come."""


class Reads:
    """The waiting reads of one replica."""

    def __init__(self, ledger: Ledger, archive: Archive, work: Work) -> None:
        """`work`: what the round under way may spend."""
        self._work = work
        self._ledger = ledger
        self._archive = archive
        self._ahead: ByHeight[_Read] = ByHeight()
        """Those that wait for a height to be executed."""
        self._unproven: ByHeight[_Read] = ByHeight()
        """Those that wait for the certificate of a height."""
        self._due: Turns[_Read] = Turns()
        self.room: Room[_Read] = Room()
        """All of these."""
        self._waiting = 0
        self._certified: _Proof | None = None
        """What most proofs need, of the newest block that has been asked for."""

    @property
    def waiting(self) -> int:
        """How many reads wait for an answer."""
        return self._waiting

    @property
    def held(self) -> int:
        """The same, counted anew."""
        return len(self._ahead) + len(self._unproven) + len(self._due)

    @property
    def ranks(self) -> int:
        """How many entries the ranking of the connections has whose turn has to come."""
        return self._due.ranks

    @property
    def is_behind(self) -> bool:
        """Whether some could be answered and are not: the round's work was spent."""
        return len(self._due) > 0

    @property
    def overdue(self) -> int:
        """How many of them wait for what is here: none, when a round has ended whose work was not spent."""
        if self.is_behind:
            return 0
        ahead = sum(waiting for height, waiting in self._ahead.counts() if height <= self._archive.height)
        return ahead + sum(waiting for height, waiting in self._unproven.counts() if self._proof_from(height))

    @property
    def _are_executed(self) -> bool:
        """Whether the lowest height that some wait for is executed."""
        return self._ahead.lowest is not None and self._ahead.lowest <= self._archive.height

    @property
    def _lowest_proof(self) -> _Proof | None:
        """What proves the lowest height whose certificate some wait for, if it is here."""
        return None if self._unproven.lowest is None else self._proof_from(self._unproven.lowest)

    def on_read(self, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
        """Takes a read, and answers it if that needs no waiting; and those who must make room for it if it does."""
        if isinstance(request, Query):
            try:
                self._ledger.executor.query_key(request.args)
            except Rejected as error:
                return [(waiter.route, Refused(request_id=waiter.request_id, code=error.code, reason=error.reason))]
        self._waiting += 1
        if request.minimum > self._archive.height:
            return self._wait(_Read(waiter, request, request.minimum), self._ahead)
        return self._begin(waiter, request)

    def settle(self) -> Iterable[Answer]:
        """Answers what the blocks and certificates of this round have made answerable, as far as its work goes."""
        while self._are_executed:
            for read in self._ahead.take_lowest():
                self._fall_due(read)
        while proof := self._lowest_proof:
            for read in self._unproven.take_lowest():
                read.proof = proof
                self._fall_due(read)
        return self._due.serve(self._work, self._resume)

    def _wait(self, read: _Read, among: ByHeight[_Read]) -> Iterable[Answer]:
        """Keeps a read. Returns what those are told who had to make room, maybe itself."""
        if read.found is not None:
            value, map_proof = read.found
            read.size = max(READ_BYTES, sum(map(len, map_proof.levels)) + len(map_proof.bucket) + len(value or b""))
        read.among = among
        among.put(read.height, read)
        self.room.put(read.waiter.route, read, read.size)
        answers = []
        while self.room.size > MAX_WAITING * READ_BYTES:
            route, other = self.room.make_room()
            if other.among is None:
                self._due.drop(route, other)
            else:
                other.among.drop(other.height, other)
            self._waiting -= 1
            answers.append((route, Busy(request_id=other.waiter.request_id, retry_ms=RETRY_MS)))
        return answers

    def _fall_due(self, read: _Read) -> None:
        read.among = None
        self._due.put(read.waiter.route, read, WORK_PER_PROOF + read.size)

    def _resume(self, read: _Read) -> Iterable[Answer]:
        """What a read waited for is here, and it is its turn."""
        self.room.drop(read.waiter.route, read)
        if read.proof is None:
            self._work.spend(WORK_PER_ANSWER)
            return self._begin(read.waiter, read.request)
        header, certificate = read.proof
        if isinstance(read.request, AskHeight):
            return [self._height_reply(read.waiter, header, certificate)]
        if certificate.seq > read.height:  # that very block will have no certificate: prove the newest state instead
            self._work.spend(WORK_PER_REQUEST)
            return self._begin(read.waiter, read.request)
        assert read.found is not None, "it was looked up before it waited for the certificate"
        return [self._query_reply(read.waiter, read.found, header, certificate)]

    def _begin(self, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
        """A read whose minimal height is executed."""
        height = self._archive.height
        if isinstance(request, AskHeight):
            return self._answer_height(waiter, height)
        if not request.certified or height == 0:
            key = self._ledger.executor.query_key(request.args)
            return [self._done(waiter, self._ledger.executor.state.get(key), height, None)]
        found = self._prove(request.args)
        proof = self._proof_from(height)
        if proof is not None:
            return [self._query_reply(waiter, found, *proof)]
        self._work.spend(WORK_PER_PROOF + len(found[0] or b""))
        return self._wait(_Read(waiter, request, height, found), self._unproven)

    def _query_reply(self, waiter: Waiter, found: _Found, header: Header, certificate: CheckpointCertificate) -> Answer:
        value, map_proof = found
        self._work.spend(WORK_PER_PROOF + WORK_PER_SIGNATURE * len(certificate.signatures))
        proof = ReadProof(map_proof=map_proof, header=header, certificate=certificate)
        return self._done(waiter, value, header.height, proof)

    def _answer_height(self, waiter: Waiter, height: Seq) -> Iterable[Answer]:
        """`height` is the newest that this replica had executed, and so signed, when it was asked."""
        if height == 0:  # the genesis block has no certificate and needs none
            self._waiting -= 1
            return [(waiter.route, self._archive.block_reply(waiter.request_id, Seq(0)))]
        proof = self._proof_from(height)
        if proof is None:
            request = AskHeight(request_id=waiter.request_id, minimum=height)
            return self._wait(_Read(waiter, request, height), self._unproven)
        return [self._height_reply(waiter, *proof)]

    def _height_reply(self, waiter: Waiter, header: Header, certificate: CheckpointCertificate) -> Answer:
        self._waiting -= 1
        self._work.spend(WORK_PER_PROOF + WORK_PER_SIGNATURE * len(certificate.signatures))
        return waiter.route, HeightReply(request_id=waiter.request_id, header=header, certificate=certificate)

    def _proof_from(self, height: Seq) -> _Proof | None:
        """The lowest certified header from `height` on, read once for all that is asked about the newest block."""
        if self._certified is not None and self._certified[0].height == height:
            return self._certified
        certificate = self._archive.proof_from(height)
        if certificate is None:
            return None
        proven = self._archive.header(certificate.seq), certificate
        if certificate.seq == height == self._archive.height:
            self._certified = proven
        return proven

    def _prove(self, args: bytes) -> _Found:
        executor = self._ledger.executor
        key = executor.query_key(args)
        return executor.state.get(key), executor.state.prove(key)

    def _done(self, waiter: Waiter, value: bytes | None, height: Seq, proof: ReadProof | None) -> Answer:
        self._waiting -= 1
        self._work.spend(len(value or b""))
        return waiter.route, QueryReply(request_id=waiter.request_id, value=value, height=height, proof=proof)
