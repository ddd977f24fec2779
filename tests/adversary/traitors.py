"""Groups of whole engines with traitors among them, and what must hold whatever those do."""

from collections import Counter
from collections.abc import Iterable

from bftledger.adversary.byzantine import Byzantine
from bftledger.adversary.catalogue import parse
from bftledger.base.ids import Seq
from bftledger.base.transaction import Transaction
from bftledger.ledger.block import Block
from bftledger.pbft.effects import Ignored
from tests.engine.engines import Engines

BATCHES = 8
BATCH = 4
BOUND_MS = 10_000
"""Within so much virtual time honest replicas commit a batch, whatever f traitors do."""


def a_group_with(*behaviours: str, traitor: int = 0, n: int = 4, seed: int = 0) -> Engines:
    """A group in which one replica misbehaves, in all these ways."""
    return Engines(n, traitors={traitor: [parse(text) for text in behaviours]}, seed=seed)


def colluding(behaviours: Iterable[str], *, traitors: Iterable[int], n: int = 4) -> Engines:
    """A group in which some misbehave in the same ways, and share their keys."""
    choices = [parse(text) for text in behaviours]
    return Engines(n, traitors=dict.fromkeys(traitors, choices), accomplices=True)


def lens(group: Engines, id: int = 0) -> Byzantine:
    """What is around a traitor."""
    found = group.hosts[id].lens
    assert found is not None, f"replica {id} is no traitor"
    return found


def honest(group: Engines) -> list[int]:
    """Who is no traitor."""
    return [host.id for host in group.up if host.lens is None]


def submit_to_all(group: Engines, transactions: Iterable[Transaction]) -> None:
    """What clients do when the replica that they know does not answer."""
    wanted = list(transactions)
    for host in group.up:
        group.submit(host.id, *wanted, route=b"client of replica %d" % host.id)


def have(group: Engines, ids: Iterable[int], transactions: Iterable[Transaction]) -> bool:
    """Whether these replicas have certified all of them."""
    wanted = [tx.id for tx in transactions]
    return all(
        len(places := group.hosts[i].store.locate(wanted)) == len(wanted)
        and max(place.height for place in places.values()) <= group.engine(i).replica.state.low
        for i in ids
    )


def work(group: Engines, batches: int = BATCHES, pause: int = 100) -> None:
    """Clients submit batch after batch; all that is honest has each of them in bounded time, in one ledger."""
    for _ in range(batches):
        commit_everywhere(group, [group.transaction(by=f"client {i}") for i in range(BATCH)])
        group.run(pause)


def commit_everywhere(group: Engines, transactions: list[Transaction]) -> None:
    """Clients submit these, and all that is honest has them in bounded time."""
    submit_to_all(group, transactions)
    assert group.run(BOUND_MS, lambda: have(group, honest(group), transactions)), f"not within {BOUND_MS} ms"


def views(group: Engines) -> list[int]:
    """Of the honest ones."""
    return [group.engine(i).replica.state.view for i in honest(group)]


def ledger(group: Engines, id: int) -> list[bytes]:
    """All transactions of a replica's ledger in their order."""
    store = group.hosts[id].store
    blocks = (store.block(Seq(height)) for height in range(1, group.hosts[id].height + 1))
    return [tx for data in blocks if data is not None for tx in Block.decode(data).transactions]


def dropped(group: Engines) -> Counter[str]:
    """What honest replicas dropped at their doors, by the error that said so."""
    return sum((group.engine(i).dropped for i in honest(group)), Counter())


def ignored(group: Engines) -> Counter[Ignored]:
    """What honest replicas ignored."""
    return sum((group.engine(i).ignored for i in honest(group)), Counter())
