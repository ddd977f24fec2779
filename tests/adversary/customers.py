"""An honest client of a group of engines: the session that every client has, on the group's virtual time."""

from typing import Any

from bftledger.base.ids import Millis
from bftledger.ledger.asking import Asking
from bftledger.ledger.client_wire import encode
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.session import Action, Done, Session
from tests.engine.engines import Engines

STEP_MS = 5
TIMEOUT_MS = 10_000


class Customer:
    """Asks one question after another, and believes what is proven."""

    def __init__(self, group: Engines, name: str = "customer") -> None:
        self.session = Session(Proofs(group.genesis, group.machine, group.keys.verifier))
        self._group = group
        self._routes = {host.id: f"{name} at {host.id}".encode() for host in group.hosts}

    def answer(self, asking: Asking[Any]) -> Any:
        """What comes of it, in bounded time."""
        now = Millis(self._group.now)
        answers = self._perform(self.session.begin(asking, now))
        while not answers and self._group.now < now + 2 * TIMEOUT_MS:
            self._group.run(STEP_MS)
            actions = self.session.tick(Millis(self._group.now))
            for replica, route in self._routes.items():
                for reply in self._group.taken(route):
                    actions += self.session.receive(replica, encode(reply), Millis(self._group.now))
            answers = self._perform(actions)
        return answers[0]

    def _perform(self, actions: list[Action]) -> list[Any]:
        answers = []
        for action in actions:
            if isinstance(action, Done):
                answers.append(action.answer)
            else:
                self._group.client_frame(action.replica, action.frame, self._routes[action.replica])
        return answers
