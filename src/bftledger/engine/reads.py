"""Reads, and those of them that wait: for a height that is not executed yet, or for the certificate that proves it.

Many may wait for one thing, and when it comes not all of them are answered at once, but as the rounds' work allows.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

from bftledger.apps.machine import Rejected
from bftledger.apps.map_proof import MapProof
from bftledger.base.ids import Seq
from bftledger.engine.archive import Archive
from bftledger.engine.opening import Ledger
from bftledger.engine.submissions import RETRY_MS, Answer, Waiter
from bftledger.engine.work import WORK_PER_PROOF, WORK_PER_REQUEST, WORK_PER_SIGNATURE, Work
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
"""So many reads may wait; more are answered BUSY."""

_Proven = tuple[bytes | None, MapProof]


class Reads:
    """The waiting reads of one replica."""

    def __init__(self, ledger: Ledger, archive: Archive, work: Work) -> None:
        """`work`: what the round under way may spend."""
        self._work = work
        self._ledger = ledger
        self._archive = archive
        self._ahead: deque[tuple[Waiter, Query | AskHeight]] = deque()
        self._queries: dict[Seq, deque[tuple[Waiter, bytes, _Proven]]] = defaultdict(deque)
        self._heights: dict[Seq, deque[Waiter]] = defaultdict(deque)
        self._waiting = 0
        self._certified: tuple[Header, CheckpointCertificate] | None = None
        """What most proofs need, of the newest block that has been asked for."""
        self.is_behind = False
        """Whether some could be answered and are not: the round's work was spent."""

    @property
    def waiting(self) -> int:
        """How many reads wait for an answer."""
        return self._waiting

    @property
    def held(self) -> int:
        """The same, counted anew."""
        return len(self._ahead) + sum(map(len, self._queries.values())) + sum(map(len, self._heights.values()))

    @property
    def overdue(self) -> int:
        """How many of them wait for what is here: none, when a round has ended whose work was not spent."""
        if self.is_behind:
            return 0
        ahead = sum(request.minimum <= self._archive.height for _, request in self._ahead)
        queries = sum(len(some) for height, some in self._queries.items() if self._archive.proof_from(height))
        return ahead + queries + sum(len(some) for height, some in self._heights.items() if self._proof_from(height))

    def on_read(self, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
        """Takes a read, and answers it if that needs no waiting."""
        if isinstance(request, Query):
            try:
                self._ledger.executor.query_key(request.args)
            except Rejected as error:
                return [(waiter.route, Refused(request_id=waiter.request_id, code=error.code, reason=error.reason))]
        if self._waiting < MAX_WAITING:
            self._waiting += 1
            busy = []
        elif self._ahead:  # who waits for a height that may never come makes room, or such waiters could take it all
            busy = [_busy(self._ahead.popleft()[0])]
        else:
            return [_busy(waiter)]
        if request.minimum > self._archive.height:
            self._ahead.append((waiter, request))
            return busy
        return [*busy, *self._begin(waiter, request)]

    def settle(self) -> Iterable[Answer]:
        """Answers what the blocks and certificates of this round have made answerable, as far as its work goes."""
        answers: list[Answer] = []
        self.is_behind = False
        ahead, self._ahead = self._ahead, deque()
        for waiter, request in ahead:
            if request.minimum > self._archive.height or self._is_out_of_work():
                self._ahead.append((waiter, request))
            else:
                answers += self._begin(waiter, request)
        while self._queries and (proven := self._proof_from(height := min(self._queries))) is not None:
            header, certificate = proven
            waiting = self._queries.pop(height)
            while waiting and not self._is_out_of_work():
                waiter, args, found = waiting.popleft()
                if certificate.seq > height:  # that very block will have no certificate: prove the newest state instead
                    self._work.spend(WORK_PER_REQUEST)
                    self._queries[self._archive.height].append((waiter, args, self._prove(args)))
                else:
                    answers.append(self._query_reply(waiter, found, header, certificate))
            if waiting:
                self._queries[height] = waiting
                break
        while self._heights and (proven := self._proof_from(height := min(self._heights))) is not None:
            waiters = self._heights.pop(height)
            while waiters and not self._is_out_of_work():
                answers.append(self._height_reply(waiters.popleft(), *proven))
            if waiters:
                self._heights[height] = waiters
                break
        return answers

    def _is_out_of_work(self) -> bool:
        """Whether whoever could be answered now has to wait for the next round."""
        self.is_behind = self.is_behind or self._work.is_spent
        return self.is_behind

    def _begin(self, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
        """A read whose minimal height is executed."""
        height = self._archive.height
        if isinstance(request, AskHeight):
            return self._answer_height(waiter, height)
        if not request.certified or height == 0:
            key = self._ledger.executor.query_key(request.args)
            return [self._done(waiter, self._ledger.executor.state.get(key), height, None)]
        found = self._prove(request.args)
        proven = self._proof_from(height)
        if proven is not None:
            return [self._query_reply(waiter, found, *proven)]
        self._queries[height].append((waiter, request.args, found))
        return ()

    def _query_reply(
        self, waiter: Waiter, found: _Proven, header: Header, certificate: CheckpointCertificate
    ) -> Answer:
        value, map_proof = found
        self._work.spend(WORK_PER_PROOF + WORK_PER_SIGNATURE * len(certificate.signatures))
        proof = ReadProof(map_proof=map_proof, header=header, certificate=certificate)
        return self._done(waiter, value, header.height, proof)

    def _answer_height(self, waiter: Waiter, height: Seq) -> Iterable[Answer]:
        """`height` is the newest that this replica had executed, and so signed, when it was asked."""
        if height == 0:  # the genesis block has no certificate and needs none
            self._waiting -= 1
            return [(waiter.route, self._archive.block_reply(waiter.request_id, Seq(0)))]
        proven = self._proof_from(height)
        if proven is None:
            self._heights[height].append(waiter)
            return ()
        return [self._height_reply(waiter, *proven)]

    def _height_reply(self, waiter: Waiter, header: Header, certificate: CheckpointCertificate) -> Answer:
        self._waiting -= 1
        self._work.spend(WORK_PER_PROOF + WORK_PER_SIGNATURE * len(certificate.signatures))
        return waiter.route, HeightReply(request_id=waiter.request_id, header=header, certificate=certificate)

    def _proof_from(self, height: Seq) -> tuple[Header, CheckpointCertificate] | None:
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

    def _prove(self, args: bytes) -> _Proven:
        executor = self._ledger.executor
        key = executor.query_key(args)
        return executor.state.get(key), executor.state.prove(key)

    def _done(self, waiter: Waiter, value: bytes | None, height: Seq, proof: ReadProof | None) -> Answer:
        self._waiting -= 1
        self._work.spend(len(value or b""))
        return waiter.route, QueryReply(request_id=waiter.request_id, value=value, height=height, proof=proof)


def _busy(waiter: Waiter) -> Answer:
    return waiter.route, Busy(request_id=waiter.request_id, retry_ms=RETRY_MS)
