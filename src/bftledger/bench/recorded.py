"""What passed through one backup of a real group in one process: the material of `paths`, which does parts of it again.

The group is that of `core`: real keys, real frames, real stores. The same work gives the same recording, whenever and
wherever it is made.
"""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from bftledger.base.crypto import Signer
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId
from bftledger.bench.core import Group, Work, submissions
from bftledger.engine.engine import Engine
from bftledger.ledger.executor import Executor
from bftledger.pbft.messages import Proposal
from bftledger.pbft.replica import Replica
from bftledger.storage.sqlite import SqliteStore
from bftledger.storage.store import Vote

BACKUP: Final = ReplicaId(1)

_CORE: Final = ("refusal_of", "relayed_in_vain", "step")
_STORE: Final = (
    "save_vote",
    "save_block",
    "save_certificate",
    "save_decision",
    "discard_votes",
    "contains",
    "commit",
)


class Call(NamedTuple):
    """A method's name, what it was called with, and what it gave."""

    name: str
    arguments: tuple[Any, ...]
    result: Any


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Of the backup: what its core and its store were asked, in order, which frames it got from peers, what it
    executed. `submitted`: the clients' frames, which the primary got."""

    genesis: Genesis
    signer: Signer
    submitted: list[bytes]
    core: list[Call]
    store: list[Call]
    frames: list[bytes]
    proposals: list[Proposal]

    @property
    def votes(self) -> list[Vote]:
        """What it kept of its own and others' promises."""
        return [call.arguments[0] for call in self.store if call.name == "save_vote"]


def record(work: Work) -> Recording:
    """Runs the group until all is answered."""
    frames = submissions(work)
    with (
        _heard(Replica, _CORE) as core,
        _heard(SqliteStore, _STORE) as store,
        _heard(Engine, ("on_peer",)) as handed,
        _heard(Executor, ("execute",)) as executed,
        TemporaryDirectory() as directory,
    ):
        group = Group(Path(directory), work)
        try:
            for start in range(0, len(frames), work.batch):
                group.commit(frames[start : start + work.batch])
        finally:
            group.close()
    engine = group.members[BACKUP].engine
    return Recording(
        genesis=group.genesis,
        signer=engine.replica.state.signer,
        submitted=frames,
        core=core.of(engine.replica),
        store=store.of(engine.store),
        frames=[call.arguments[1] for call in handed.of(engine)],
        proposals=[call.arguments[0] for call in executed.of(engine.ledger.executor)],
    )


class _Heard:
    """Calls by the object that was called, which must live as long as this."""

    def __init__(self) -> None:
        self._calls: defaultdict[int, list[Call]] = defaultdict(list)

    def of(self, who: object) -> list[Call]:
        """In their order."""
        return self._calls[id(who)]


@contextlib.contextmanager
def _heard(owner: Any, names: Sequence[str]) -> Iterator[_Heard]:
    """All calls of these methods of the class until the end of the `with` block."""
    heard = _Heard()
    originals = {name: vars(owner)[name] for name in names}
    for name, original in originals.items():
        setattr(owner, name, _overheard(original, name, heard))
    try:
        yield heard
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


def _overheard(method: Callable[..., Any], name: str, heard: _Heard) -> Callable[..., Any]:
    @functools.wraps(method)
    def overheard(self: object, *arguments: Any) -> Any:
        result = method(self, *arguments)
        heard.of(self).append(Call(name, arguments, result))
        return result

    return overheard
