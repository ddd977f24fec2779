"""Faults in a few words, for transcripts, diagrams and the list of what mattered."""

from itertools import combinations
from typing import Final, NamedTuple

from bftledger.base.ids import ReplicaId
from bftledger.sim.plan import Crash, Cut, Fault, Jump, Slow, Storm

MAX_SEARCHED: Final = 10
"""In larger groups the links of a cut are counted, not explained."""

MAX_LISTED: Final = 4


def describe(fault: Fault, n: int) -> str:
    """A fault in a group of n."""
    match fault:
        case Cut():
            return _cut(fault, n).words
        case Storm(weather=weather):
            parts = [f"loses {weather.loss:.0%}"] * (weather.loss > 0)
            parts += [f"repeats {weather.duplication:.0%}"] * (weather.duplication > 0)
            parts.append(f"{(weather.delay_us + weather.jitter_us) / 1_000:g} ms a message")
            return f"storm: {', '.join(parts)}"
        case Crash(replica=replica, fuse=fuse, sent=sent):
            when = f" at operation {fuse} of its store" if fuse else f" after {sent} frames of a round" * (sent >= 0)
            return f"replica {replica} is to crash{when}"
        case Jump(replica=replica, by_ms=by_ms):
            return f"the clock of replica {replica} is {abs(by_ms)} ms {'fast' if by_ms > 0 else 'slow'}"
        case Slow(replica=replica, round_us=round_us):
            return f"replica {replica} takes {round_us / 1_000:g} ms for a round"


def over(fault: Fault, n: int) -> str:
    """The end of a fault; of a crash, that it was announced and never came."""
    if isinstance(fault, Crash):
        return f"over: replica {fault.replica} did not crash"
    return f"over: {describe(fault, n)}"


def befallen(fault: Fault, n: int) -> tuple[ReplicaId, ...]:
    """Whom it befalls; nobody if all or no one in particular."""
    match fault:
        case Cut():
            return _cut(fault, n).replicas
        case Storm():
            return ()
        case Crash(replica=replica) | Jump(replica=replica) | Slow(replica=replica):
            return (replica,)


class _Cut(NamedTuple):
    words: str
    replicas: tuple[ReplicaId, ...] = ()


def _cut(cut: Cut, n: int) -> _Cut:
    """What a cut does to whom. Clients, who have negative numbers, are on the side that their links say."""
    links = {(a, b) for a, b in cut.links if a != b and a >= 0 and b >= 0}
    everybody = [ReplicaId(i) for i in range(n)]
    sizes = range(1, n // 2 + 1) if n <= MAX_SEARCHED else range(0)
    for some in (found for size in sizes for found in combinations(everybody, size)):
        others = [i for i in everybody if i not in some]
        out = {(a, b) for a in some for b in others}
        back = {(b, a) for a, b in out}
        name = f"replica{'s' if len(some) > 1 else ''} {_and(some)}"
        if links == out | back:
            if len(some) == 1:
                return _Cut(f"{name} is cut off", some)
            return _Cut(f"partition: {' '.join(map(str, some))} | {' '.join(map(str, others))}")
        if links == out:
            return _Cut(f"nobody hears {name}", some)
        if links == back:
            return _Cut(f"{name} hear{'s' if len(some) == 1 else ''} nobody else", some)
    if len(links) == 2 and {(b, a) for a, b in links} == links:
        one, other = sorted(min(links))
        return _Cut(f"replicas {one} and {other} do not hear each other", (ReplicaId(one), ReplicaId(other)))
    if len(links) <= MAX_LISTED:
        named = ", ".join(f"{a}→{b}" for a, b in sorted(links))
        return _Cut(f"nothing passes {named}" if named else "only clients are cut off")
    return _Cut(f"{len(links)} links cut")


def _and(replicas: tuple[ReplicaId, ...]) -> str:
    *others, last = map(str, replicas)
    return f"{', '.join(others)} and {last}" if others else last
