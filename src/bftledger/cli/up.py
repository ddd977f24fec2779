"""`up` and `down`: the replicas of this host as processes, started, shown and taken down."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bftledger.base.ids import ReplicaId
from bftledger.cli import output
from bftledger.cli.init import announce
from bftledger.cli.options import NO_HOME, HomeOption, JsonOption, examples
from bftledger.cli.status import COLUMNS, GroupStatus, pids
from bftledger.home.home import Home
from bftledger.home.home import init as init_home
from bftledger.home.template import Template
from bftledger.ledger.outcome import NoAnswer
from bftledger.node import readiness
from bftledger.node.supervisor import Supervisor, stop_running

if TYPE_CHECKING:
    from bftledger.client import AsyncClient

T = TypeVar("T")

POLL_S: Final = 0.05
WATCH_S: Final = 0.5
_HEADERS: Final = 256


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog=examples(
            "bftledger up                       shown live, until Ctrl-C",
            "bftledger --home G up --detach     returns when it is ready",
        ),
        short_help="Starts the group and shows it live.",
    )(up)
    app.command(epilog=examples("bftledger down"), short_help="Stops the group.")(down)


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once the group is ready; it goes on.")] = False,
    home: HomeOption = NO_HOME,
    json: JsonOption = False,
) -> None:
    """Starts the group: each replica whose key is in the home, as its own process.

    Makes a group of four first if there is none. Shows it live until Ctrl-C, which takes it down; with --detach
    returns when all replicas are ready, and level if they lag by little. Those that run already are left alone.
    """
    opened = _open_or_make(home, quiet=json)
    supervisor = Supervisor(opened, detached=detach)
    started = supervisor.start_missing()
    if not started:
        _report(opened, supervisor, started, json=json)
        return
    stopped_by_signal = asyncio.run(until_signal(_up(opened, supervisor, started, json=json, detach=detach)))
    if stopped_by_signal and detach:
        raise KeyboardInterrupt


def down(home: HomeOption = NO_HOME, json: JsonOption = False) -> None:
    """Stops the replicas of the home that run on this host. Nothing that was acknowledged is lost."""
    opened = Home.open(home)
    stopped, killed = stop_running(opened)
    if json:
        output.emit({"stopped": list(stopped), "killed": list(killed)})
    elif not stopped:
        output.say("no replica of this home is running")
    else:
        output.say(f"{output.plural(len(stopped), 'replica')} stopped", output.GOOD)
        if killed:
            output.note(f"had to be killed after 5 seconds: {', '.join(map(str, killed))}")


async def wait_until_ready(client: "AsyncClient", supervisor: Supervisor) -> GroupStatus:
    """As `readiness.wait_until_ready`, and what there is to show of the group then."""
    said = await readiness.wait_until_ready(client.status, supervisor)
    return GroupStatus(said, supervisor.running, client.genesis.group.quorum)


async def until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work`; SIGINT, SIGTERM or SIGHUP cancels it. Whether one did."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[int] = []

    def cancel(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
    return bool(received)


async def _up(home: Home, supervisor: Supervisor, started: tuple[ReplicaId, ...], *, json: bool, detach: bool) -> None:
    from bftledger.client import AsyncClient  # noqa: PLC0415

    ready = False
    try:
        async with AsyncClient.open(home) as client:
            await _with_spinner("starting", wait_until_ready(client, supervisor), quiet=json)
            ready = True
            _report(home, supervisor, started, json=json)
            if not detach:
                await _watch(client, supervisor, quiet=json)
    finally:
        if not (ready and detach):
            supervisor.stop()
            if ready and not json:
                output.note("stopped")


async def _watch(client: "AsyncClient", supervisor: Supervisor, *, quiet: bool) -> None:
    """Shows the group until all its replicas have ended. Raises `NotDone` if one of them failed."""
    out = output.console()
    rate = _Rate(client)
    show = _live(out) if output.is_terminal() and not quiet else _lines(out, quiet=quiet)
    try:
        while supervisor.running:
            found = GroupStatus(await client.status(), pids(supervisor.home), client.genesis.group.quorum)
            show(found, await rate.update(found.height))
            await asyncio.sleep(WATCH_S)
    finally:
        show(None, 0.0)
    failed = [replica for replica in supervisor.replicas if supervisor.failed(replica)]
    if failed:
        raise output.NotDone(f"all replicas have ended; replica {failed[0]}: {supervisor.ended(failed[0])}")


def _live(out: Console) -> Callable[[GroupStatus | None, float], None]:
    live = Live(console=out, auto_refresh=False, transient=True)
    live.start()

    def show(found: GroupStatus | None, rate: float) -> None:
        if found is None:
            live.stop()
            return
        style = output.GOOD if found.working >= found.quorum else output.DOUBTFUL
        text = output.aligned(COLUMNS, found.rows(), found.styles(), out.width)
        text.append("\n").append(found.sentence(), style)
        text.append(f"\n{rate:,.0f} transactions/s; Ctrl-C stops the group", output.QUIET)
        live.update(text, refresh=True)

    return show


def _lines(out: Console, *, quiet: bool) -> Callable[[GroupStatus | None, float], None]:
    """Where nothing can be redrawn: a line whenever the group is otherwise than before."""
    last = ""

    def show(found: GroupStatus | None, rate: float) -> None:
        nonlocal last
        if found is not None and not quiet and found.sentence() != last:
            last = found.sentence()
            out.print(Text(last))
            sys.stdout.flush()

    return show


class _Rate:
    """Transactions per second, from the headers of the blocks that came since the last look."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client
        self._height = -1
        self._time = 0.0

    async def update(self, height: int) -> float:
        now = asyncio.get_running_loop().time()
        new, elapsed = height - self._height, now - self._time
        first, self._height, self._time = self._height < 0, height, now
        if first or new <= 0:
            return 0.0
        try:
            headers = await self._client.blocks(min(new, _HEADERS))
        except NoAnswer:
            return 0.0
        return sum(header.count for header in headers) * max(new / _HEADERS, 1) / elapsed


async def _with_spinner(what: str, work: Coroutine[Any, Any, T], *, quiet: bool) -> T:
    out = output.console(stderr=True)
    if quiet or not out.is_terminal:
        return await work
    with out.status(f"{what} …"):
        return await work


def _open_or_make(path: Path, *, quiet: bool) -> Home:
    home = Home(path)
    if home.exists or home.has_parts or (path.exists() and not path.is_dir()):
        return Home.open(path)
    if not quiet:
        output.note(f"no group in {output.pretty(path)} yet: making one of {Template().replicas} replicas")
    made = init_home(path, Template())
    if not quiet:
        announce(made)
    return made


def _report(home: Home, supervisor: Supervisor, started: tuple[ReplicaId, ...], *, json: bool) -> None:
    processes = supervisor.running
    if json:
        listed = {str(replica): pid for replica, pid in processes.items()}
        output.emit({"home": str(home.path.absolute()), "started": list(started), "pids": listed})
        return
    n = len(processes)
    if not started:
        output.say(f"group {home.genesis.name} is up already: {output.plural(n, 'replica')} running")
        return
    more = "" if len(started) == n else f", {n - len(started)} of them before"
    output.say(f"group {home.genesis.name} is up: {output.plural(n, 'replica')} running{more}", output.GOOD)
