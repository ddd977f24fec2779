"""`status`: how each replica of the group is, and the same question for `up`, which waits for the answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from bftledger.base.ids import ReplicaId
from bftledger.cli import output
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, examples
from bftledger.home.home import Home
from bftledger.ledger.client_messages import StatusReply
from bftledger.node.presence import running

COLUMNS = ("replica", "pid", "state", "view", "height", "lag", "pending", "up")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples("bftledger status", "bftledger status --json | jq '.replicas[].height'"),
        short_help="Shows how each replica is.",
    )(status)


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """What the replicas say of themselves, and which processes of this host run them. Unproven, for people."""

    said: Mapping[ReplicaId, StatusReply | None]
    pids: Mapping[ReplicaId, int]
    quorum: int

    @property
    def answers(self) -> list[StatusReply]:
        """Of the replicas that answered."""
        return [reply for reply in self.said.values() if reply is not None]

    @property
    def height(self) -> int:
        """The highest of all."""
        return max((reply.executed for reply in self.answers), default=0)

    @property
    def view(self) -> int | None:
        """The highest view that is installed somewhere; None if none is."""
        return max((reply.view for reply in self.answers if reply.active), default=None)

    @property
    def primary(self) -> ReplicaId | None:
        """Of that view."""
        return next((reply.primary for reply in self.answers if reply.active and reply.view == self.view), None)

    @property
    def working(self) -> int:
        """How many replicas are in that view: with a quorum of them the group makes progress."""
        return sum(reply.active and reply.view == self.view for reply in self.answers)

    def state(self, replica: ReplicaId) -> str:
        """One or two words."""
        reply = self.said[replica]
        if reply is None:
            return "silent" if replica in self.pids else "no answer"
        if not reply.active:
            return "view change"
        return "primary" if replica == self.primary else "backup"

    @property
    def accused(self) -> dict[int, list[ReplicaId]]:
        """Who, by whose word, is convicted by evidence that they keep."""
        accused: dict[int, list[ReplicaId]] = {}
        for reply in self.answers:
            for convict in (i for i in self.said if reply.convicted >> i & 1):
                accused.setdefault(convict, []).append(reply.replica)
        return dict(sorted(accused.items()))

    def rows(self) -> list[tuple[object, ...]]:
        """For a table with `COLUMNS`."""
        rows: list[tuple[object, ...]] = []
        for replica, reply in self.said.items():
            pid = self.pids.get(replica, "-")
            if reply is None:
                rows.append((replica, pid, self.state(replica), "-", "-", "-", "-", "-"))
            else:
                numbers = (reply.view, reply.executed, self.height - reply.executed, reply.pending)
                rows.append((replica, pid, self.state(replica), *numbers, duration(reply.uptime_ms)))
        return rows

    def styles(self) -> list[str]:
        """Of the rows."""
        colours = {"primary": output.STRONG, "backup": "", "view change": output.DOUBTFUL}
        return [colours.get(self.state(replica), output.BAD) for replica in self.said]

    def sentence(self) -> str:
        """How the group is as a whole."""
        n = len(self.said)
        if self.working >= self.quorum:
            return f"view {self.view}, {self.working} of {n} replicas in it: working"
        if len(self.answers) >= self.quorum:
            return f"{len(self.answers)} of {n} replicas answer, {self.working} in view {self.view}: changing views"
        return f"no quorum: {len(self.answers)} of {n} replicas answer, {self.quorum} are needed"


def status(home: HomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Shows how each replica is: view, primary, height, lag, pending transactions.

    Fails unless a quorum of replicas works in one view.
    """
    opened = Home.open(home)
    found = asyncio.run(_ask(opened))
    if json:
        output.emit(_described(opened, found))
    else:
        output.say(f"group {opened.genesis.name} in {output.pretty(opened.path)}", output.STRONG)
        output.table(COLUMNS, found.rows(), found.styles())
        for convict, keepers in found.accused.items():
            by = ", ".join(map(str, keepers))
            output.say(f"evidence against replica {convict}, at {by}: bftledger evidence show {convict}", output.BAD)
    if found.working < found.quorum:
        raise output.NotDone(found.sentence())
    if not json:
        output.say(found.sentence(), output.GOOD)


def pids(home: Home) -> dict[ReplicaId, int]:
    """The processes of this host that run replicas of the home."""
    return {i: pid for i in home.genesis.group.replicas if (pid := running(home, i)) is not None}


def duration(millis: int) -> str:
    """`42s`, `3m`, `5h`, `2d`."""
    seconds = millis // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


async def _ask(home: Home) -> GroupStatus:
    from bftledger.client import AsyncClient  # noqa: PLC0415

    async with AsyncClient.open(home) as client:
        return GroupStatus(await client.status(), pids(home), home.genesis.group.quorum)


def _described(home: Home, found: GroupStatus) -> dict[str, Any]:
    replicas: Sequence[dict[str, Any]] = [
        {
            "replica": replica,
            "pid": found.pids.get(replica),
            "state": found.state(replica).replace(" ", "_"),
            "view": reply.view if reply else None,
            "height": reply.executed if reply else None,
            "stable": reply.stable if reply else None,
            "lag": found.height - reply.executed if reply else None,
            "pending": reply.pending if reply else None,
            "evidence_against": [i for i in found.said if reply.convicted >> i & 1] if reply else None,
            "uptime_ms": reply.uptime_ms if reply else None,
            "version": reply.version if reply else None,
        }
        for replica, reply in found.said.items()
    ]
    return {
        "group": home.genesis.name,
        "genesis": home.genesis.genesis_hash.hex(),
        "working": found.working >= found.quorum,
        "quorum": found.quorum,
        "view": found.view,
        "primary": found.primary,
        "height": found.height,
        "replicas": replicas,
    }
