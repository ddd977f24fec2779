"""What clients ask and are answered is recorded like all else, and lies to clients are marked as lies."""

from dataclasses import replace

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.cli.sim_show import subject_of
from bftledger.ledger import client_wire
from bftledger.sim.diagram import Diagram
from bftledger.sim.draw import Choice, draw
from bftledger.sim.plan import Plan, Storm, Weather, Work
from bftledger.sim.recording import Fate, Happening, Recording, Sending
from bftledger.sim.run import Report, run
from bftledger.sim.story import headline, story
from bftledger.sim.transcript import describer_of, said, transcript

WORK = Work(clients=2, operations=3, reads=0.4)


class Seen:
    """A run of a plan, and what an observer saw of its clients."""

    def __init__(self, plan: Plan) -> None:
        self.recording = Recording()
        self.report: Report = run(plan, self.recording)
        self.subject = subject_of(self.report)
        sendings = [event for event in self.recording.events if isinstance(event, Sending)]
        self.all = sendings
        self.requests = [sending for sending in sendings if sending.source < 0]
        self.replies = [sending for sending in sendings if sending.to < 0]
        self.lies = [reply for reply in self.replies if reply.is_lie and reply.fate is not Fate.WITHHELD]
        self.withheld = [reply for reply in self.replies if reply.fate is Fate.WITHHELD]
        self.ignored = [request for request in self.requests if request.fate is Fate.IGNORED]

    @property
    def deviations(self) -> int:
        """How often traitors deviated, as they count it."""
        return sum(times for name, times in self.report.counts.items() if name.startswith("lies: "))

    def transcript(self) -> list[str]:
        return transcript(self.subject, self.recording).splitlines()

    def story(self) -> list[str]:
        happenings = [event for event in self.recording.events if isinstance(event, Happening)]
        describer = describer_of(self.subject)
        return [entry.text for entry in story(happenings, self.all, [said(describer, each) for each in self.all])]


def a_plan(*habits: str, **changes: object) -> Plan:
    traitors = {ReplicaId(0): habits} if habits else {}
    return replace(Plan(seed=11, traitors=traitors, work=WORK), **changes)  # type: ignore[arg-type]


# ── what is seen ──


def test_every_call_is_asked_and_answered_before_the_eyes_of_the_observer() -> None:
    seen = Seen(a_plan())

    asked = {client_wire.decode_request(request.frame).request_id for request in seen.requests}
    assert {request.client for request in seen.requests} == {reply.client for reply in seen.replies} == {0, 1}
    assert len(seen.report.calls) <= 2 * len(asked)
    for call in seen.report.calls:
        assert any(request.client == call.client and request.at == call.invoked for request in seen.requests)
        assert any(reply.client == call.client and call.returned in reply.arrives for reply in seen.replies)


def test_honest_replicas_tell_clients_no_lies() -> None:
    seen = Seen(a_plan())

    assert seen.replies
    assert not [each for each in seen.all if each.culprit is not None]
    assert not [line for line in seen.transcript() if "unproven" in line]


def test_a_request_that_is_lost_or_doubled_is_told_so() -> None:
    bad = Weather(loss=0.3, duplication=0.3)
    seen = Seen(a_plan(faults=(Storm(at=0, until=300, weather=bad),), heal_at=300))

    assert {request.fate for request in seen.requests} == {None, Fate.LOST}
    assert {len(request.arrives) for request in seen.requests} == {0, 1, 2}
    assert {reply.fate for reply in seen.replies} == {None, Fate.LOST}


def test_hostile_clients_are_seen_and_called_so_and_nobody_there_listens() -> None:
    seen = Seen(a_plan(work=replace(WORK, hostile=1), heal_at=500))

    assert {request.client for request in seen.requests} == {0, 1, 2}
    assert {reply.fate for reply in seen.replies if reply.client == 2} == {Fate.UNHEARD}
    assert "Client 2 is hostile." in seen.subject.cast
    assert Diagram(seen.subject, seen.recording).data()["clients"] == [{"hostile": i == 2} for i in range(3)]
    assert [line for line in seen.transcript() if " client 2: GARBAGE of " in line]


# ── lies ──


@pytest.mark.parametrize("name", ["lie-replies", "silent-replies", "false-busy"])
def test_every_lie_to_a_client_is_marked(name: str) -> None:
    seen = Seen(a_plan(name))
    to_peers = [each for each in seen.all if each.client is None and each.is_lie]

    assert len(seen.withheld) + len(to_peers) == seen.deviations > 0
    assert bool(seen.lies) == (name != "silent-replies")
    assert all(reply.source == 0 for reply in seen.lies + seen.withheld)
    assert all(reply.is_lie for reply in seen.replies if reply.source == 0), "it never answers as it should"


def test_the_lies_of_a_run_are_as_many_in_the_transcript_as_the_traitor_counted() -> None:
    """Seed 3 of `lie-replies`: each answer is replaced by one other."""
    seen = Seen(draw(3, Choice(sizes=(4,), traitors=(("lie-replies", 1),), calm=True)))

    told = [line for line in seen.transcript() if " LIE " in line and "withheld" not in line]
    assert len(told) == len(seen.lies) == seen.deviations == 5
    assert all(" LIE 0: " in line and "-> client " in line for line in told)
    assert "Traitors sent 5 messages that no honest replica would have sent, all of them to clients." in " ".join(
        headline(seen.subject, seen.recording)
    )
    assert any(line.startswith("replica 0 lies: ") and " to client" in line for line in seen.story())


def test_what_a_traitor_withholds_from_clients_is_told_in_the_story() -> None:
    seen = Seen(a_plan("silent-replies"))

    withholds = [line for line in seen.story() if line.startswith("replica 0 withholds ")]
    assert any("COMMITTED n1" in line and "from client" in line for line in withholds)


def test_requests_that_a_traitor_ignores_are_told_and_drawn_as_its_misdeeds() -> None:
    seen = Seen(a_plan("favourites"))

    assert len(seen.ignored) == seen.deviations > 0
    assert {(request.client, request.to) for request in seen.ignored} == {(0, 0)}, "client 1 is its favourite"
    assert all(request.arrives for request in seen.ignored)
    assert [
        line for line in seen.transcript() if " client 0: SUBMIT r" in line and "ignored by an adversary: 0" in line
    ]
    assert any(line.startswith("replica 0 ignores ") and " from client 0" in line for line in seen.story())
    assert f"Traitors ignored {len(seen.ignored)} requests of clients." in " ".join(
        headline(seen.subject, seen.recording)
    )
    drawn = [message for message in Diagram(seen.subject, seen.recording).data()["messages"] if message[4]]
    assert [message[:3] for message in drawn] == [[request.at, -1, 0] for request in seen.ignored]


def test_a_traitor_that_is_its_own_client_withholds_nothing_from_others() -> None:
    seen = Seen(a_plan("busy-censor"))

    assert seen.ignored
    assert not seen.withheld
