"""Bad weather for a group: links that fail, replicas that are cut off, phases that get lost; then calm again."""

import random
from collections.abc import Callable

from bftledger.pbft.messages import Commit, Message, Prepare, PrePrepare
from tests.adversary.traitors import commit_everywhere, honest, submit_to_all
from tests.engine.engines import Engines, MayPass


def _cut_one_off(group: Engines, chance: random.Random) -> MayPass:
    one = chance.choice(honest(group))
    return lambda source, to, _: one not in (source, to)


def _cut_the_primary_off(group: Engines, chance: random.Random) -> MayPass:
    one = max(group.engine(i).replica.state.view for i in honest(group)) % len(group.hosts)
    return lambda source, to, _: one not in (source, to)


def _halve(group: Engines, chance: random.Random) -> MayPass:
    half = set(chance.sample([host.id for host in group.hosts], len(group.hosts) // 2))
    return lambda source, to, _: (source in half) == (to in half)


def _make_deaf(group: Engines, chance: random.Random) -> MayPass:
    one = chance.choice(honest(group))
    return lambda source, to, _: to != one


def _lose_a_phase(group: Engines, chance: random.Random) -> MayPass:
    lost = chance.choice((PrePrepare, Prepare, Commit))
    return lambda source, to, message: not isinstance(message, lost)


def _lose_a_third(group: Engines, chance: random.Random) -> MayPass:
    return lambda source, to, message: chance.random() > 0.33


WEATHER: tuple[Callable[[Engines, random.Random], MayPass], ...] = (
    _cut_one_off,
    _cut_the_primary_off,
    _halve,
    _make_deaf,
    _lose_a_phase,
    _lose_a_third,
)


def _pass_all(source: int, to: int, message: Message) -> bool:
    return True


def storm(group: Engines, *, spells: int = 6, seed: int = 0) -> None:
    """Spells of bad weather while clients submit, and then a calm in which all that is honest commits what came."""
    chance = random.Random(f"storm {seed}")
    submitted = []
    for _ in range(spells):
        group.passes = chance.choice(WEATHER)(group, chance)
        batch = [group.transaction(by=f"client {i}") for i in range(chance.randint(1, 4))]
        submitted += batch
        submit_to_all(group, batch)
        group.run(chance.randint(100, 1_500))
        if chance.random() < 0.5:
            group.passes = _pass_all
            group.run(chance.randint(1, 800))
    group.passes = _pass_all
    commit_everywhere(group, submitted)


def depose(group: Engines, *, batches: int = 2) -> None:
    """The primary of view 0 is cut off while proposals are prepared and not committed; all is well in the next view.

    Until then no honest COMMIT arrives, so what the traitor says of its certificates decides what is proposed again.
    """
    submitted = []
    for _ in range(batches):
        batch = [group.transaction()]
        submitted += batch
        group.passes = lambda source, to, message: not isinstance(message, Commit)
        submit_to_all(group, batch)
        group.run(60)
    group.passes = lambda source, to, message: 0 not in (source, to) and not isinstance(message, Commit)
    group.run(5_000, lambda: min(group.engine(i).replica.state.view for i in honest(group) if i) >= 1)
    group.passes = _pass_all
    commit_everywhere(group, submitted)
