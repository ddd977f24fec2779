"""What is around a Byzantine replica's engine: what passes, what is marked as a lie, whose keys it has."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from bftledger.adversary.behaviour import TICK_MS, Behaviour, Choice, Frame
from bftledger.adversary.byzantine import Byzantine, Later, Tick
from bftledger.adversary.catalogue import CATALOGUE, describe, names, parse
from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis, ReplicaId
from bftledger.engine.engine import Engine, Round
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskStatus, Reply, Request, StatusReply
from bftledger.pbft import status, wire
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.messages import Message, Prepare, Status
from tests.adversary.traitors import a_group_with, have, honest, lens, submit_to_all, work
from tests.engine.engines import START, Engines

NOW = START


class Honest(Behaviour):
    name = "honest"


class Shouts(Behaviour):
    """Says everything twice, the second time with other words to replica 1; and something of its own."""

    name = "shouts"

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield message
        if to == 1 and isinstance(message, Status):
            yield self.scene.sign(replace(message, view_changes=message.view_changes ^ 1))

    def tick(self) -> Iterable[Frame]:
        yield ReplicaId(2), b"a word"
        yield self.scene.me, b"to itself"
        yield ReplicaId(99), b"to nobody"


class Whispers(Behaviour):
    """Says nothing to replica 1."""

    name = "whispers"

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        return () if to == 1 else (message,)


class Dawdles(Behaviour):
    """Holds back what is for replica 1."""

    name = "dawdles"

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        return Millis(70 if to == 1 else 0)


class Deaf(Behaviour):
    """Hears no replica and no client."""

    name = "deaf"

    def hears(self, sender: ReplicaId, frame: bytes) -> bool:
        return False

    def takes_request(self, route: bytes, request: Request) -> bool:
        return False


class Rude(Behaviour):
    """Has another answer for clients."""

    name = "rude"

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        if isinstance(reply, StatusReply):
            yield replace(reply, version="none of your business")
            yield b"go away"


class Polite(Behaviour):
    """Adds something to what clients are answered."""

    name = "polite"

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        yield reply
        yield b"at your service"


class Curious(Behaviour):
    """Answers every PREPARE to its sender."""

    name = "curious"

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Prepare):
            yield sender, b"heard"


def an_adversary(*behaviours: type[Behaviour]) -> Byzantine:
    """Replica 0 of a group that does not run, misbehaving in these ways."""
    group = Engines()
    signers = {ReplicaId(0): group.keys.signer("replica 0")}
    return Byzantine(group.new_engine(0), [Choice(behaviour) for behaviour in behaviours], signers=signers)


def first_round(adversary: Byzantine) -> Round:
    adversary.start(NOW)
    return adversary.end_round(NOW)


def a_status(group: Engines, id: int) -> Status:
    state = group.engine(id).replica.state
    return state.sign(status.describe(state))


def own_timers(finished: Round) -> list[tuple[object, int]]:
    return [
        (effect.timer, effect.after)
        for effect in finished.timers
        if isinstance(effect, StartTimer) and isinstance(effect.timer, Tick | Later)
    ]


# ── what passes ──


def test_a_lens_that_does_nothing_changes_nothing() -> None:
    honest_engine: Engine = Engines().new_engine(0)
    honest_engine.start(NOW)
    adversary = an_adversary(Honest)

    finished = first_round(adversary)

    assert finished == honest_engine.end_round(NOW)
    assert not adversary.last_lies
    assert not adversary.withheld
    assert not adversary.last_client_lies
    assert not adversary.withheld_replies
    assert adversary.lies == {}
    assert adversary.counters() == honest_engine.counters()


def test_what_the_core_would_not_have_said_is_marked_with_its_receiver() -> None:
    adversary = an_adversary(Shouts)

    finished = first_round(adversary)

    assert [to for to, _ in finished.to_peers] == [1, 1, 2, 3]
    assert adversary.last_lies == {(ReplicaId(1), finished.to_peers[1][1])}
    assert not adversary.withheld
    assert adversary.lies == {"shouts": 1}


def test_silence_is_a_lie_too_and_what_was_not_said_is_kept() -> None:
    adversary = an_adversary(Whispers)

    finished = first_round(adversary)

    assert [to for to, _ in finished.to_peers] == [2, 3]
    assert [to for to, _ in adversary.withheld] == [1]
    assert not adversary.last_lies
    assert adversary.lies == {"whispers": 1}


def test_each_behaviour_sees_what_the_one_before_it_would_say() -> None:
    adversary = an_adversary(Shouts, Whispers)

    finished = first_round(adversary)

    assert [to for to, _ in finished.to_peers] == [2, 3]
    assert adversary.lies == {"shouts": 1, "whispers": 2}


def test_it_speaks_of_its_own_accord_to_members_only() -> None:
    adversary = an_adversary(Shouts)
    assert own_timers(first_round(adversary)) == [(Tick(), TICK_MS)]

    adversary.on_timer(Tick(), NOW)  # type: ignore[arg-type]
    finished = adversary.end_round(NOW)

    assert finished.to_peers == [(2, b"a word")]
    assert adversary.last_lies == {(ReplicaId(2), b"a word")}
    assert own_timers(finished) == [(Tick(), TICK_MS)]


def test_what_is_held_back_leaves_when_its_time_has_come() -> None:
    adversary = an_adversary(Dawdles)
    finished = first_round(adversary)
    assert [to for to, _ in finished.to_peers] == [2, 3]
    assert own_timers(finished) == [(Later(), 70)]
    ((_, frame),) = adversary.withheld

    early = adversary.end_round(Millis(NOW + 69))
    adversary.on_timer(Later(), Millis(NOW + 70))  # type: ignore[arg-type]
    due = adversary.end_round(Millis(NOW + 70))

    assert early.to_peers == []
    assert own_timers(early) == [(Later(), 1)]
    assert due.to_peers == [(1, frame)]
    assert own_timers(due) == []
    assert not adversary.last_lies, "late, but true"


def test_a_core_that_is_deaf_learns_of_nothing() -> None:
    adversary, group = an_adversary(Deaf), Engines()
    first_round(adversary)

    adversary.on_peer(ReplicaId(1), wire.encode(a_status(group, 1)), NOW)
    adversary.on_client(b"route", client_wire.encode(AskStatus(request_id=1)), NOW)

    assert adversary.ignored == {(b"route", client_wire.encode(AskStatus(request_id=1)))}
    assert adversary.end_round(NOW) == Round()
    assert not adversary.ignored, "of the next round"
    assert adversary.lies == {"deaf": 2}


def test_clients_get_what_it_wants_them_to_have() -> None:
    adversary = an_adversary(Rude)
    first_round(adversary)
    adversary.on_client(b"route", client_wire.encode(AskStatus(request_id=1)), NOW)

    (_, first), (_, second) = adversary.end_round(NOW).to_clients

    reply = client_wire.decode_reply(first)
    assert isinstance(reply, StatusReply)
    assert reply.version == "none of your business"
    assert second == b"go away"


def test_what_clients_are_told_instead_of_the_truth_is_marked_and_the_truth_is_kept() -> None:
    adversary = an_adversary(Rude)
    first_round(adversary)
    adversary.on_client(b"route", client_wire.encode(AskStatus(request_id=1)), NOW)
    finished = adversary.end_round(NOW)

    assert adversary.last_client_lies == set(finished.to_clients)
    ((route, frame),) = adversary.withheld_replies
    truth = client_wire.decode_reply(frame)
    assert route == b"route"
    assert isinstance(truth, StatusReply)
    assert truth.version != "none of your business"

    adversary.end_round(NOW)
    assert not adversary.last_client_lies
    assert not adversary.withheld_replies


def test_an_answer_that_is_let_through_is_no_lie() -> None:
    adversary = an_adversary(Polite)
    first_round(adversary)
    adversary.on_client(b"route", client_wire.encode(AskStatus(request_id=1)), NOW)

    assert len(adversary.end_round(NOW).to_clients) == 2
    assert {frame for _, frame in adversary.last_client_lies} == {b"at your service"}
    assert not adversary.withheld_replies


def test_behaviours_hear_what_is_authentic_and_nothing_else() -> None:
    adversary, group = an_adversary(Curious), Engines()
    first_round(adversary)
    vote = Prepare(
        view=group.engine(1).replica.state.view,
        seq=MAX_NUMBER,  # type: ignore[arg-type]
        digest=group.genesis.genesis_hash,
        replica=ReplicaId(1),
        signature=wire.UNSIGNED,
    )

    adversary.on_peer(ReplicaId(1), wire.encode(vote), NOW)
    adversary.on_peer(ReplicaId(1), b"", NOW)
    adversary.on_peer(ReplicaId(1), b"\x84", NOW)
    assert adversary.end_round(NOW).to_peers == []

    adversary.on_peer(ReplicaId(1), wire.encode(group.signed(vote)), NOW)
    assert adversary.end_round(NOW).to_peers == [(1, b"heard")]


@pytest.mark.parametrize("name", names())
def test_no_behaviour_minds_odd_input(name: str) -> None:
    adversary = an_adversary(CATALOGUE[name])
    chance = Random(f"odd {name}")
    first_round(adversary)
    for step in range(60):
        now = Millis(NOW + chance.choice((-1, 1)) * step * 50)
        adversary.on_peer(ReplicaId(1 + step % 3), chance.randbytes(step), now)
        adversary.on_client(b"route", chance.randbytes(step), now)
        adversary.on_timer(chance.choice((Tick(), Later())), now)  # type: ignore[arg-type]
        adversary.end_round(now)


# ── keys ──


def test_it_holds_its_own_key_and_those_of_accomplices() -> None:
    group = Engines(7, traitors={0: [parse("silent")], 3: [parse("silent")]}, accomplices=True)
    alone = a_group_with("silent", n=7)

    assert sorted(lens(group).scene.signers) == [0, 3]
    assert sorted(lens(alone).scene.signers) == [0]
    for id, signer in lens(group).scene.signers.items():
        assert signer.public_key == group.genesis.group.keys[id]
    with pytest.raises(KeyError):
        lens(group).scene.sign(a_status(group, 1))


def test_what_it_makes_up_is_signed_with_its_own_key() -> None:
    scene = lens(a_group_with("silent")).scene
    scene.now = NOW

    first, second = scene.transaction(), scene.transaction(created=-5)

    assert first.sender == second.sender == scene.group.keys[0]
    assert first.id != second.id
    assert (first.created, second.created) == (NOW, NOW - 5)


# ── the catalogue ──


def test_every_behaviour_says_what_it_does_what_stops_it_and_what_a_group_shows() -> None:
    for entry in describe():
        for text in (entry.does, entry.stopped_by, entry.shows):
            assert text.endswith("."), entry.name
            assert text[0].isupper() or text[0].isdigit(), entry.name
        assert entry.name == entry.name.lower().replace(" ", "-")
        assert not entry.takes.endswith("."), entry.name
    assert len({entry.name for entry in describe()}) == len(CATALOGUE)


def test_a_name_and_its_argument_are_told_apart_by_the_first_colon() -> None:
    assert parse("mute:new-view") == Choice(CATALOGUE["mute"], "new-view")
    assert parse("silent") == Choice(CATALOGUE["silent"])
    assert [str(parse(text)) for text in ("mute:commit", "silent")] == ["mute:commit", "silent"]


def test_a_name_that_nothing_has_brings_up_names_that_are_like_it() -> None:
    with pytest.raises(OperatorError, match=r"'equivocat' is no behaviour: try equivocate"):
        parse("equivocat")
    with pytest.raises(OperatorError, match="bftledger-adversary list shows all there are"):
        parse("")


def test_an_argument_is_refused_where_none_is_taken() -> None:
    with pytest.raises(OperatorError, match=r"silent:1: silent takes no argument"):
        parse("silent:1")


@pytest.mark.parametrize(
    "text",
    [
        "mute:everything",
        "selective:0",
        "selective:1,9",
        "selective:x",
        "equivocate-one:0",
        "oversize:much",
        "bad-time:noon",
        "slow:fast",
        "slow:-1",
        "slow:99999",
        "late:½",
        "censor:alice",
    ],
)
def test_an_argument_that_means_nothing_is_refused_with_what_it_should_be(text: str) -> None:
    name = text.partition(":")[0]
    with pytest.raises(OperatorError, match=f"{name}:.* what follows the colon should be {CATALOGUE[name].takes[:12]}"):
        a_group_with(text)


# ── by chance ──


def test_random_misbehaves_in_several_ways_and_in_others_later() -> None:
    adversary = an_adversary(CATALOGUE["random"])
    first_round(adversary)
    chosen = set()
    for at in range(0, 60_000, 500):
        now = Millis(NOW + at)
        adversary.on_timer(Tick(), now)  # type: ignore[arg-type]
        adversary.end_round(now)
        chosen.add(tuple(sorted(behaviour.name for behaviour in adversary.behaviours[0].acting())))

    assert len(chosen) > 10
    assert all(1 <= len(together) <= 4 for together in chosen)
    assert all("random" not in together for together in chosen)


def test_the_same_seed_misbehaves_in_the_same_way() -> None:
    def run(seed: int) -> tuple[dict[str, int], list[int]]:
        group = a_group_with("random", traitor=1, seed=seed)
        work(group, 4)
        return dict(lens(group, 1).lies), [host.height for host in group.hosts]

    assert run(5) == run(5)
    assert len({str(run(seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize("seed", range(12))
def test_a_group_withstands_anything_that_f_traitors_do_by_chance(seed: int) -> None:
    group = a_group_with("random", "random", traitor=seed % 4, seed=seed)
    work(group, 6, pause=400)

    assert sum(lens(group, seed % 4).lies.values()) > 0


def test_a_calm_adversary_lets_what_others_do_come_to_an_end() -> None:
    group = a_group_with("false-checkpoint", "reorder", traitor=0)
    work(group, 2)
    lens(group).scene.is_calm = True
    own = [group.transaction()]
    submit_to_all(group, own)
    group.run(1_000)

    assert have(group, honest(group), own)
    assert not any(len(group.engine(i).replica.state.pool) for i in honest(group))
    assert all(group.engine(i).replica.state.low == group.hosts[i].height for i in honest(group))


# ── when it is told ──


def a_sleeper(*behaviours: type[Behaviour]) -> tuple[Byzantine, Engine]:
    """Replica 0, honest until it is told to lie, and an honest one in the same place."""
    group, other = Engines(), Engines()
    signers = {ReplicaId(0): group.keys.signer("replica 0")}
    choices = [Choice(behaviour) for behaviour in behaviours]
    return Byzantine(group.new_engine(0), choices, signers=signers, is_lying=False), other.new_engine(0)


def test_a_traitor_that_waits_to_be_told_is_an_honest_replica() -> None:
    sleeper, honest_engine = a_sleeper(Shouts, Whispers, Dawdles, Deaf, Rude)
    honest_engine.start(NOW)

    assert first_round(sleeper) == honest_engine.end_round(NOW)
    sleeper.on_timer(Tick(), NOW)  # type: ignore[arg-type]
    assert sleeper.end_round(NOW).to_peers == []
    assert sleeper.lies == {}


def test_it_lies_from_when_it_is_told_until_it_is_told_to_stop() -> None:
    sleeper, _ = a_sleeper(Shouts)
    first_round(sleeper)

    sleeper.begin()
    told = sleeper.end_round(NOW)
    sleeper.on_timer(Tick(), NOW)  # type: ignore[arg-type]
    lied = sleeper.end_round(NOW)
    sleeper.end()
    sleeper.on_timer(Tick(), NOW)  # type: ignore[arg-type]
    after = sleeper.end_round(NOW)

    assert own_timers(told) == own_timers(lied) == [(Tick(), TICK_MS)]
    assert (ReplicaId(2), b"a word") in lied.to_peers
    assert (after.to_peers, own_timers(after)) == ([], [])


def test_a_traitor_that_turned_honest_works_like_any_other() -> None:
    group = a_group_with("silent", traitor=0)
    work(group, 2)
    lens(group).end()
    lied = dict(lens(group).lies)
    work(group, 2)
    group.run(2_000)

    assert lens(group).lies == lied
    assert len({host.height for host in group.hosts}) == 1
