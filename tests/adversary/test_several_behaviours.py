"""One replica that misbehaves in several ways: each of them bears what the others made of a message."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bftledger.adversary import catalogue
from bftledger.adversary.behaviour import Behaviour, Scene
from bftledger.adversary.behaviours.view_change import last_led, own_change
from bftledger.adversary.byzantine import Byzantine
from bftledger.adversary.catalogue import parse
from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.pbft import wire
from bftledger.pbft.messages import Blocks, Message, NewView, ViewChange
from tests.adversary.storms import depose
from tests.adversary.traitors import a_group_with, dropped, lens, views, work
from tests.engine.engines import START, Engines, Host

ME = ReplicaId(1)
"""The primary of view 1."""

LAGS = 3
CHAINS = 1_500
MOST = 6
"""So many messages at most come of one in a test: some behaviours double each."""

MEDDLING = [
    name for name, behaviour in catalogue.CATALOGUE.items() if behaviour.to_peer is not Behaviour.to_peer
]  # not "random", which is any of them


class Listening(Engines):
    """A group that keeps what its honest replicas said."""

    def __init__(self) -> None:
        self.said: list[tuple[int, Message]] = []
        super().__init__()

    def _judged(self, host: Host, frame: bytes) -> Message:
        message = super()._judged(host, frame)
        self.said.append((host.id, message))
        return message


@pytest.fixture(scope="module")
def group() -> Listening:
    """Everybody is honest; one has had to catch up, and the first primary was replaced."""
    group = Listening()
    work(group, 2)
    host = group.hosts[LAGS]
    host.engine, engine = None, host.engine
    for _ in range(6):
        group.submit(0, group.transaction(), route=b"client")
        group.run(30)
    host.engine = engine
    group.run(3_000)
    depose(group)
    return group


def a_traitor(group: Engines, *behaviours: str, seed: int = 0) -> Byzantine:
    """Replica 1 of the group, which misbehaves in these ways."""
    choices = [parse(text) for text in behaviours]
    signers = {ME: group.keys.signer(f"replica {ME}")}
    traitor = Byzantine(group.engine(ME), choices, signers=signers, seed=seed)
    traitor.scene.now = Millis(START + group.now)
    return traitor


def said_instead(traitor: Byzantine, message: Message) -> Iterator[Message | bytes]:
    """What passes through all of its behaviours, one after the other, to replica 2."""
    found: list[Message | bytes] = [message]
    for behaviour in traitor.behaviours:
        found = [
            after
            for before in found
            for after in ([before] if isinstance(before, bytes) else behaviour.to_peer(ReplicaId(2), before))
        ][:MOST]
    yield from found


def examples(group: Listening) -> list[Message]:
    """One of each kind of message that the traitor's core could have said."""
    own = {type(message): message for by, message in group.said if by == message.replica == ME}
    blocks = next(message for _, message in group.said if isinstance(message, Blocks))
    return [*({**own, Blocks: group.signed(replace(blocks, replica=ME))}).values()]


def test_a_group_says_what_behaviours_falsify(group: Listening) -> None:
    assert {type(message) for message in examples(group)} >= {Blocks, NewView, ViewChange}


def test_what_a_behaviour_is_shown_may_be_what_another_one_made(group: Listening) -> None:
    chance = random.Random("chains")
    messages = examples(group)
    for seed in range(CHAINS):
        traitor = a_traitor(group, *chance.choices(MEDDLING, k=3), seed=seed)
        for message in messages:
            for said in said_instead(traitor, message):
                assert isinstance(said, bytes) or wire.encode(said)


@pytest.mark.parametrize("name", MEDDLING)
def test_what_passes_through_the_same_behaviour_many_times_is_still_a_message(group: Listening, name: str) -> None:
    for seed in range(5):
        traitor = a_traitor(group, *[name] * 8, seed=seed)
        for message in examples(group):
            for said in said_instead(traitor, message):
                assert isinstance(said, bytes) or wire.encode(said)


# ── view 0 ──


def a_scene(group: Engines, *behaviours: str) -> tuple[Byzantine, Scene]:
    traitor = a_traitor(group, *behaviours)
    return traitor, traitor.scene


def test_the_last_view_that_a_traitor_led_is_before_the_one_it_leaves(group: Listening) -> None:
    _, scene = a_scene(group)

    assert last_led(scene, View(6)) == 5
    assert last_led(scene, View(5)) == 1
    assert last_led(scene, View(1)) == 0
    assert last_led(scene, View(0)) is None


@pytest.mark.parametrize(
    "behaviour",
    [
        *("forge-certificates", "pad-certificates", "pass-off"),
        *(f"invalid-prepared:{wrong}" for wrong in ("view", "order", "below", "above", "primary")),
    ],
)
def test_before_view_0_there_is_none_in_which_anything_was_prepared(group: Listening, behaviour: str) -> None:
    traitor, scene = a_scene(group, behaviour)
    change = own_change(scene, View(0))

    (said,) = said_instead(traitor, change)

    assert isinstance(said, ViewChange)
    assert said.prepared == ()


@pytest.mark.parametrize("behaviour", ["forge-certificates", "pad-certificates", "pass-off"])
def test_a_new_view_with_a_view_change_for_view_0_is_dropped_whatever_certificates_it_has(behaviour: str) -> None:
    group = a_group_with("wrong-new-view:view", behaviour, traitor=ME)
    depose(group)

    assert lens(group, ME).lies["wrong-new-view"] > 0
    assert dropped(group).total() > 0
    assert min(views(group)) >= 2


# ── what there is none of any more ──


def test_a_certificate_that_everybody_signed_names_nobody_more(group: Listening) -> None:
    message = next(message for message in examples(group) if isinstance(message, Blocks))
    traitor = a_traitor(group, *["pad-certificates:many"] * 3)

    (said,) = said_instead(traitor, message)

    assert isinstance(said, Blocks)
    assert [i for i, _ in said.certificate.signatures] == [0, 1, 2, 3]


@pytest.mark.parametrize("wrong", ["repeated", "few", "view", "disorder", "forged"])
def test_a_v_of_which_nothing_is_left_is_not_falsified_further(group: Listening, wrong: str) -> None:
    message = next(message for message in examples(group) if isinstance(message, NewView) and message.replica == ME)
    traitor = a_traitor(group, *["wrong-new-view:few"] * 3, f"wrong-new-view:{wrong}")

    (said,) = said_instead(traitor, message)

    assert isinstance(said, NewView)
    assert said.view_changes == ()
