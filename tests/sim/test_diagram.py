"""The space-time diagram: one file, complete in itself, that shows every message and trusts no payload."""

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.ids import ReplicaId, Seq
from bftledger.sim.diagram import QUIET_FLIGHTS, diagram
from bftledger.sim.recording import Fate, Happening, Kind, Recording, Sending
from bftledger.sim.subject import Subject
from tests.sim.recordings import HOSTILE, equivocation, fork, service

MAY_LOAD = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and the text in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def text_in(self, tag: str) -> list[str]:
        return [text for inside, text in self.texts if inside == tag and text.strip()]

    @property
    def data(self) -> Any:
        """What the scripts draw."""
        return json.loads(self.text_in("script")[0])


def page_of(run: tuple[Subject, Recording]) -> Page:
    return Page(diagram(*run))


def drawn(run: tuple[Subject, Recording]) -> Any:
    return page_of(run).data


def story_of(run: tuple[Subject, Recording]) -> list[str]:
    return [text for _, _, text, _ in drawn(run)["story"]]


# ── the file ──


def test_the_page_loads_nothing_from_anywhere() -> None:
    subject, _ = equivocation()
    text = diagram(replace(subject, calls=()), Recording())

    assert not re.search(r"https?:|url\(|@import|\bfetch\b|XMLHttpRequest|\bimport\b *\(", text)
    assert not [attrs for _, attrs in Page(text).elements if MAY_LOAD & set(attrs)]


def test_the_page_may_execute_its_own_script_and_nothing_else() -> None:
    page = page_of(equivocation())
    script = page.text_in("script")[1]

    (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@pytest.mark.parametrize("run", [equivocation, fork, service], ids=lambda run: run.__name__)
def test_a_hostile_payload_is_text_and_never_an_element(run: Any) -> None:
    page = page_of(run())

    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert HOSTILE in [words for _, _, _, words in page.data["calls"]]


def test_hostile_words_in_outcome_and_happenings_are_text() -> None:
    subject, _ = equivocation()
    hostile = Subject(seed=1, genesis=subject.genesis, outcome=(HOSTILE, "\u2028\ud800"), is_sound=False)
    page = page_of((hostile, Recording([Happening(1, Kind.VIOLATION, HOSTILE)])))

    assert [tag for tag, _ in page.elements].count("script") == 2
    assert HOSTILE in page.text_in("p")
    assert HOSTILE in page.text_in("span")


def test_the_same_run_gives_the_same_bytes_under_any_hash_seed() -> None:
    program = (
        "import hashlib; from bftledger.sim.diagram import diagram; from tests.sim.recordings import fork; "
        "print(hashlib.sha256(diagram(*fork()).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert outputs == {hashlib.sha256(diagram(*fork()).encode()).hexdigest() + "\n"}


def test_a_run_without_a_message_is_a_page_too() -> None:
    subject, _ = equivocation()

    assert drawn((subject, Recording()))["messages"] == []


# ── messages ──


def test_there_is_an_arrow_for_every_message_and_every_copy() -> None:
    subject, recording = equivocation()
    sendings = [event for event in recording.events if isinstance(event, Sending)]

    arrows = drawn((subject, recording))["messages"]
    assert [(at, source, to, list(arrives)) for at, source, to, _, _, _, *arrives in arrows] == [
        (sending.at, sending.source, sending.to, sending.arrives) for sending in sendings
    ]
    assert [9_000 in arrow[6:] for arrow in arrows].count(True) == 1


def test_lies_are_marked_as_lies() -> None:
    subject, recording = equivocation()
    lies = [event.is_lie for event in recording.events if isinstance(event, Sending)]

    assert [bool(arrow[4]) for arrow in drawn((subject, recording))["messages"]] == lies


def test_what_never_arrives_says_why() -> None:
    data = drawn(equivocation())

    fates = [data["fates"][arrow[5]] for arrow in data["messages"] if arrow[5] >= 0]
    assert fates == [Fate.WITHHELD.value, Fate.LOST.value, *[Fate.CUT.value] * 3]


def test_a_message_that_contradicts_another_says_what_the_others_were_told() -> None:
    data = drawn(equivocation())

    notes = [note for phase, _, _, note in data["frames"] if data["phases"][phase]["slug"] == "pre-prepare"]
    assert len(notes) == 2
    assert all("to 1, 2: PRE-PREPARE v0 n1 [put pay bob]" in note and "to 2, 3: PRE-PREPARE" in note for note in notes)
    assert not any(note for phase, _, _, note in data["frames"] if data["phases"][phase]["slug"] == "prepare")


def test_every_message_has_words_and_a_reason() -> None:
    data = drawn(equivocation())

    assert all(line and words for _, line, words, _ in data["frames"])
    assert all(phase["why"] for phase in data["phases"])


# ── clients ──


def test_clients_have_lanes_and_their_messages_are_arrows_beside_those_of_replicas() -> None:
    data = drawn(service())

    assert [client["hostile"] for client in data["clients"]] == [False, False, True]
    slugs = {number: data["phases"][phase]["slug"] for number, (phase, *_) in enumerate(data["frames"])}
    ends = {
        slug: {(source, to) for _, source, to, number, *_ in data["messages"] if slugs[number] == slug}
        for slug in slugs.values()
    }
    assert ends["client-request"] == {(-1, 1), (-2, 0), (-2, 2), (-3, 3), (-1, 0), (-1, 2)}
    assert ends["client-reply"] == {(3, -3), (0, -1), (0, -2), (1, -1)}
    assert all(source >= 0 and to >= 0 for slug in ends for source, to in ends[slug] if "client" not in slug)


def test_lies_to_clients_and_requests_that_traitors_ignore_are_drawn_as_misdeeds() -> None:
    data = drawn(service())

    red = [
        (message[1], message[2], data["fates"][message[5]] if message[5] >= 0 else "")
        for message in data["messages"]
        if message[4]
    ]
    assert red == [(-2, 0, Fate.IGNORED.value), (0, -1, Fate.WITHHELD.value), (0, -1, ""), (0, -2, "")]


def test_the_story_tells_what_a_traitor_does_to_clients() -> None:
    assert story_of(service()) == [
        f"replica 0 ignores SUBMIT r1 “{HOSTILE[:46]}… from client 1",
        (
            "replica 0 lies: FATE r2 put pay bob: expired (so it is said) to client 0; "
            "GARBAGE of 1 bytes, ff: not a frame of a known kind, or not… to client 1"
        ),
        "replica 0 withholds FATE r2 put pay bob: pending (so it is said) from client 0",
    ]
    assert (
        page_of(service())
        .text_in("p")[1]
        .startswith(
            "Traitors sent 2 messages that no honest replica would have sent, all of them to clients. "
            "Traitors withheld 1 message that an honest one would have sent, for a client. "
            "Traitors ignored 1 request of clients."
        )
    )


def test_how_long_a_message_flies_is_measured_among_replicas() -> None:
    subject, recording = service()
    far = [
        replace(event, arrives=[event.at + 90_000])
        if isinstance(event, Sending) and event.client is not None
        else event
        for event in recording.events
    ]

    assert drawn((subject, Recording(far)))["flight"] == drawn((subject, recording))["flight"] == 1_000


# ── lanes and signs ──


def test_a_crash_breaks_the_lane_until_the_replica_starts_again() -> None:
    data = drawn(equivocation())

    assert data["replicas"][3]["down"] == [[8_000, 400_000]]
    assert data["replicas"][0]["down"] == []


def test_a_lane_shows_the_views_and_the_time_between_them() -> None:
    data = drawn(equivocation())

    assert data["replicas"][1]["views"] == [[0, 6_000, 0, 0], [6_000, 7_000, 0, 1], [7_000, 402_000, 1, 0]]


def test_a_block_has_one_colour_and_a_fork_has_two() -> None:
    assert drawn(equivocation())["blocks"] == [[2, 5_000, 1, 1, 0], [3, 5_000, 1, 1, 0]]
    assert drawn(fork())["blocks"][-1] == [1, 410_000, 1, 1, 1]


def test_blocks_executed_together_are_one_sign() -> None:
    subject, _ = equivocation()
    blocks = Recording([Happening(9, Kind.EXECUTED, "", ReplicaId(0), height=Seq(height)) for height in (1, 2, 3)])

    assert drawn((subject, blocks))["blocks"] == [[0, 9, 1, 3, 0]]


def test_times_without_messages_can_be_folded() -> None:
    data = drawn(equivocation())

    assert data["quiet"] == [[10_000, 399_000]]
    assert data["quiet"][0][1] - data["quiet"][0][0] > QUIET_FLIGHTS * data["flight"] - 2 * data["flight"]


def test_partitions_and_calls_of_clients_are_drawn() -> None:
    data = drawn(equivocation())

    assert data["spans"] == [[3_000, 8_000, "nobody hears replica 3", [3]]]
    assert [ends for _, ends, _, _ in data["calls"]] == [6_000, -1]


# ── the story ──


def test_the_headline_says_who_was_byzantine_what_the_group_did_and_the_verdict() -> None:
    sentences = page_of(equivocation()).text_in("p")

    assert sentences[0].endswith("Replica 0 is Byzantine. It tells one replica this and the others that (equivocate).")
    assert sentences[1].startswith(
        "Traitors sent 5 messages that no honest replica would have sent. Traitors withheld 1 message that an honest"
    )
    assert sentences[1].endswith("The primary was replaced, and the last view was 1, led by replica 1.")
    assert sentences[2] == "All calls but one were answered."


def test_the_story_is_in_order_and_tells_alike_things_together() -> None:
    story = story_of(equivocation())

    assert [line.split(":")[0] for line in story] == [
        "replica 0 lies",
        "replica 0 withholds PRE-PREPARE v0 n1 [put pay bob] from 2",
        "replicas 2, 3 execute block 1",
        "replicas 1, 2 leave view 0",
        "replica 1 enters view 1",
        "replica 3 crashes",
        "replica 3 starts",
        "replicas 1, 2 hold proof that replica 0 is guilty",
        "from here on there are no faults but the traitors'",
    ]


def test_a_fork_is_the_loudest_line_of_the_story() -> None:
    alarms = [text for _, weight, text, _ in drawn(fork())["story"] if weight == "alarm"]

    assert alarms == ["replica 1 executes another block 1: a fork", "agreement: two blocks at height 1"]


def test_the_page_shows_the_verdict_before_all_else() -> None:
    verdicts = [
        attrs["class"]
        for run in (equivocation(), fork())
        for _, attrs in page_of(run).elements
        if "verdict" in (attrs.get("class") or "")
    ]

    assert verdicts == ["verdict sound", "verdict violated"]
