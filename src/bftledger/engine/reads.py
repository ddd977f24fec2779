"""Reads that wait: for a height that is not executed yet, or for the certificate that proves an answer."""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

from bftledger.apps.machine import Rejected
from bftledger.apps.map_proof import MapProof
from bftledger.base.ids import Seq
from bftledger.engine.archive import Archive
from bftledger.engine.opening import Ledger
from bftledger.engine.submissions import RETRY_MS, Answer, Waiter
from bftledger.ledger.client_messages import (
    AskHeight,
    Busy,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    Refused,
)

MAX_WAITING: Final = 4_096
"""So many reads may wait; more are answered BUSY."""

_Proven = tuple[bytes | None, MapProof]


class Reads:
    """The waiting reads of one replica."""

    def __init__(self, ledger: Ledger, archive: Archive) -> None:
        self._ledger = ledger
        self._archive = archive
        self._ahead: deque[tuple[Waiter, Query | AskHeight]] = deque()
        self._queries: dict[Seq, list[tuple[Waiter, bytes, _Proven]]] = defaultdict(list)
        self._heights: list[tuple[Waiter, Seq]] = []
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many reads wait for an answer."""
        return self._waiting

    @property
    def held(self) -> int:
        """The same, counted anew."""
        return len(self._ahead) + sum(map(len, self._queries.values())) + len(self._heights)

    @property
    def overdue(self) -> int:
        """How many of them wait for what is here: none, when a round has ended."""
        ahead = sum(request.minimum <= self._archive.height for _, request in self._ahead)
        queries = sum(len(some) for height, some in self._queries.items() if self._archive.proof_from(height))
        return ahead + queries + sum(self._archive.proof_from(height) is not None for _, height in self._heights)

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
        """Answers what the blocks and certificates of this round have made answerable."""
        answers: list[Answer] = []
        ahead, self._ahead = self._ahead, deque()
        for waiter, request in ahead:
            if request.minimum > self._archive.height:
                self._ahead.append((waiter, request))
            else:
                answers += self._begin(waiter, request)
        while self._queries:
            height = min(self._queries)
            certificate = self._archive.proof_from(height)
            if certificate is None:
                break
            for waiter, args, (value, map_proof) in self._queries.pop(height):
                if certificate.seq > height:  # that very block will have no certificate: prove the newest state instead
                    self._queries[self._archive.height].append((waiter, args, self._prove(args)))
                    continue
                proof = ReadProof(map_proof=map_proof, header=self._archive.header(height), certificate=certificate)
                answers.append(self._done(waiter, value, height, proof))
        heights, self._heights = self._heights, []
        for waiter, height in heights:
            answers += self._answer_height(waiter, height)
        return answers

    def _begin(self, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
        """A read whose minimal height is executed."""
        height = self._archive.height
        if isinstance(request, AskHeight):
            return self._answer_height(waiter, height)
        if request.certified and height > 0:
            self._queries[height].append((waiter, request.args, self._prove(request.args)))
            return ()
        key = self._ledger.executor.query_key(request.args)
        return [self._done(waiter, self._ledger.executor.state.get(key), height, None)]

    def _answer_height(self, waiter: Waiter, height: Seq) -> Iterable[Answer]:
        """`height` is the newest that this replica had executed, and so signed, when it was asked."""
        if height == 0:  # the genesis block has no certificate and needs none
            self._waiting -= 1
            return [(waiter.route, self._archive.block_reply(waiter.request_id, Seq(0)))]
        certificate = self._archive.proof_from(height)
        if certificate is None:
            self._heights.append((waiter, height))
            return ()
        self._waiting -= 1
        header = self._archive.header(certificate.seq)
        return [(waiter.route, HeightReply(request_id=waiter.request_id, header=header, certificate=certificate))]

    def _prove(self, args: bytes) -> _Proven:
        executor = self._ledger.executor
        key = executor.query_key(args)
        return executor.state.get(key), executor.state.prove(key)

    def _done(self, waiter: Waiter, value: bytes | None, height: Seq, proof: ReadProof | None) -> Answer:
        self._waiting -= 1
        return waiter.route, QueryReply(request_id=waiter.request_id, value=value, height=height, proof=proof)


def _busy(waiter: Waiter) -> Answer:
    return waiter.route, Busy(request_id=waiter.request_id, retry_ms=RETRY_MS)
