"""Questions to a group other than those about a transaction: read a value, a height, a block, how a replica is."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bftledger.base.ids import Millis, ReplicaId
from bftledger.ledger.asking import Ask, Asking, Route, Timing
from bftledger.ledger.client_messages import ErrorReply, Refused, Reply, Request

A = TypeVar("A")

Judge = Callable[[ReplicaId, Reply], A | None]
"""What a reply answers, once it has been verified; None if it is no answer. Raises if it is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Generic[A]):
    """`found`: what was answered, by replica, in the order of arrival. `complete`: whether it is as many as needed.

    `refusal`: what f+1 replicas say why they have no answer, else empty. `alive`: how many replicas answered at all.
    """

    found: dict[ReplicaId, A]
    complete: bool
    refusal: str
    alive: int


class Question(Asking[Answers[A]]):
    """Ends when `needed` replicas have answered, when a quorum has no answer, or at its time-out with what there is.

    Of whatever was acknowledged, every quorum has a correct replica that can answer for it. A question that needs one
    answer asks one replica first, others ask all.
    """

    def __init__(
        self, request: Request, judge: Judge[A], route: Route, timing: Timing, timeout_ms: int, needed: int = 1
    ) -> None:
        super().__init__(request, route, timing, timeout_ms, ask_all=needed > 1)
        self._judge = judge
        self._needed = needed
        self._found: dict[ReplicaId, A] = {}
        self._refusals: dict[ReplicaId, str] = {}

    def _weigh(self, replica: ReplicaId, reply: Reply, now: Millis) -> list[Ask]:
        match reply:
            case ErrorReply(text=text) | Refused(reason=text):
                self._refusals[replica] = text
                if len(self._refusals) >= self.group.quorum:
                    self.answer = self._give_up()
                return self._turn_to_all(now)
        answer = self._judge(replica, reply)
        if answer is None:
            return self._turn_to_all(now)
        self._found[replica] = answer
        self._route.proved(replica)
        if len(self._found) >= self._needed:
            self.answer = self._give_up()
        return []

    def _give_up(self) -> Answers[A]:
        refusal = ""
        if len(self._refusals) >= self.group.weak_quorum:
            refusal = Counter(self._refusals.values()).most_common(1)[0][0]
        complete = len(self._found) >= self._needed
        return Answers(found=dict(self._found), complete=complete, refusal=refusal, alive=len(self.alive))
