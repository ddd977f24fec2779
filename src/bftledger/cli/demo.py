"""`demo`: the whole promise in a minute: a group, a thousand transactions, a killed primary, an audit, a receipt."""

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import BadProof, BadSignature, BftLedgerError, Malformed, OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId, View
from bftledger.cli import output
from bftledger.cli.audit import audit_stores, stores_of
from bftledger.cli.demo_progress import Story
from bftledger.cli.options import JsonOption, examples, home_before_command
from bftledger.cli.output import NotDone
from bftledger.cli.status import GroupStatus
from bftledger.cli.up import POLL_S, until_signal, wait_until_ready
from bftledger.home.files import present
from bftledger.home.home import Home
from bftledger.home.home import init as init_home
from bftledger.home.template import Template
from bftledger.ledger.receipt import Receipt, verify_receipt
from bftledger.node.supervisor import Supervisor

if TYPE_CHECKING:
    from bftledger.cli.demo_load import Measured
    from bftledger.client import AsyncClient

CATCH_UP_S: Final = 30.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger demo",
            "bftledger demo --transactions 10000",
            "bftledger demo --home G        to look at it later",
        ),
        short_help="Shows all of it at work, in a minute.",
    )(demo)


@dataclass(frozen=True, slots=True)
class Run:
    """What happened while the group was up. `killed_at`: on the clock of `measured`."""

    measured: "Measured"
    killed: ReplicaId
    killed_at: float
    final: GroupStatus


def demo(
    context: typer.Context,
    transactions: Annotated[
        int, typer.Option("--transactions", "-n", metavar="N", min=100, max=1_000_000, help="How many are submitted.")
    ] = 1_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the temporary directory where it is.")] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", metavar="DIR", help="Make the group here.  [default: a temporary directory, removed at the end]"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Shows all of it at work: starts a group of four, submits, kills the primary on the way, audits.

    Every transaction gets its receipt, although the primary is killed with SIGKILL half-way; it is started again and
    catches up. Then all four ledgers are audited and compared, a receipt is verified offline, and so is every copy of
    it with one byte changed, which must be refused. Fails unless all of it holds.
    """
    named = home or home_before_command(context)
    if named is not None and present(named) and any(named.iterdir()):
        raise OperatorError(f"{named} is not empty: name a new directory for the demo, or none")
    with ExitStack() as cleanup:
        path = named or Path(tempfile.mkdtemp(prefix="bftledger-demo-"))
        if named is None and not keep:
            cleanup.callback(shutil.rmtree, path, ignore_errors=True)
        try:
            with Story(transactions, quiet=json) as story:
                summary = _tell(init_home(path, Template(name="demo")), transactions, story)
        except BftLedgerError as error:
            cleanup.pop_all()
            raise NotDone(f"the demo failed: {error} (its home is left for you to look at: {path})") from None
    if json:
        output.emit(summary)
        return
    output.say("")
    output.fields(_figures(summary), head="all of it held")
    if named or keep:
        output.note(f"the group is kept in {output.pretty(path)}: start it with bftledger --home {path} up")


def _tell(home: Home, total: int, story: Story) -> dict[str, Any]:
    """Runs the demo and returns its figures. Raises `NotDone` at the first thing that does not hold."""
    began = time.monotonic()
    group = home.genesis.group
    story.title(f"{group.n} replicas, {total:,} transactions, and the primary dies half-way")
    story.held(f"group made: {group.n} replicas, of which {group.f} may be faulty")
    with Supervisor(home) as supervisor:
        runs: list[Run] = []
        if asyncio.run(until_signal(_run(home, supervisor, total, story, runs))):
            raise KeyboardInterrupt
        (run,) = runs
        killed = supervisor.stop()
        if killed:
            raise NotDone(f"replica {killed[0]} did not stop when it was asked to")
    story.held("all replicas stopped")
    measured = run.measured
    height = _audit(home, measured, story)
    _check_receipt(home.genesis, next(reversed(measured.receipts.values())), home.path / "receipt.cbor", story)
    gap = measured.gap(run.killed_at)
    return {
        "ok": True,
        "transactions": total,
        "seconds": round(measured.seconds, 3),
        "tx_per_s": round(measured.rate, 1),
        "tx_per_s_without_gap": round(total / (measured.seconds - gap), 1),
        "p50_ms": round(measured.percentile_ms(50), 1),
        "p99_ms": round(measured.percentile_ms(99), 1),
        "gap_ms": round(gap * 1_000),
        "killed": int(run.killed),
        "blocks": height,
        "view": run.final.view,
        "total_seconds": round(time.monotonic() - began, 1),
    }


async def _run(home: Home, supervisor: Supervisor, total: int, story: Story, runs: list[Run]) -> None:
    """All that needs the group up; appends what happened to `runs`."""
    from bftledger.cli.demo_load import CLIENTS, Load  # noqa: PLC0415
    from bftledger.client import AsyncClient  # noqa: PLC0415

    supervisor.start_missing()
    async with AsyncClient.open(home) as observer:
        await wait_until_ready(observer, supervisor)
        story.held(f"{home.genesis.group.n} processes up, each a replica")
        kill = _Kill(observer, supervisor, story)

        async def committed(count: int) -> None:
            story.progress(count)
            if count == total // 2:
                with load.paused():  # so that half of the transactions need a new primary
                    await kill.strike(count)
            elif count >= total * 3 // 4:
                kill.undo()

        load = Load(home, total, committed)
        story.begin_bar()
        await load.run()
        story.end_bar()
        kill.undo()
        measured = load.measured
        story.held(f"{len(measured.receipts):,} transactions of {CLIENTS} clients committed, each with its receipt")
        story.held(f"longest time without a commit from the kill on: {measured.gap(kill.at):.2f} s")
        final = await _wait_until_level(observer, supervisor)
        if final.view is None or final.view <= kill.view:
            raise NotDone(f"the primary was killed in view {kill.view}, and the view is still {final.view}")
        story.held(f"replica {kill.victim} has caught up: all are at block {final.height} in view {final.view}")
        runs.append(Run(measured, kill.victim, kill.at, final))


class _Kill:
    """What happens to the primary. `at`: when it was killed, on the monotonic clock; `view`: whose primary it was."""

    def __init__(self, observer: "AsyncClient", supervisor: Supervisor, story: Story) -> None:
        self.victim = ReplicaId(0)
        self.view = View(0)
        self.at = 0.0
        self._observer = observer
        self._supervisor = supervisor
        self._story = story
        self._is_down = False

    async def strike(self, count: int) -> None:
        """SIGKILL to whoever is the primary now."""
        self.view = max(reply.view for reply in (await self._observer.status()).values() if reply is not None)
        self.victim = self._observer.genesis.group.primary(self.view)
        self._supervisor.kill(self.victim)
        self.at, self._is_down = time.monotonic(), True
        self._story.event(f"replica {self.victim}, the primary, killed with SIGKILL at {count:,} transactions")

    def undo(self) -> None:
        """Starts it again, unless that was done."""
        if self._is_down:
            self._is_down = False
            self._supervisor.start(self.victim)
            self._story.event(f"replica {self.victim} started again")


async def _wait_until_level(observer: "AsyncClient", supervisor: Supervisor) -> GroupStatus:
    """Returns when all replicas are in one view at one height. Raises `NotDone` if that takes 30 s."""
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        found = await wait_until_ready(observer, supervisor)
        if found.working == len(found.said) and all(reply.executed == found.height for reply in found.answers):
            return found
        if time.monotonic() > deadline:
            heights = ", ".join(f"{reply.replica}: {reply.executed}" for reply in found.answers)
            raise NotDone(f"the replicas are not level after {CATCH_UP_S:.0f} s (heights {heights})")
        await asyncio.sleep(POLL_S)


def _audit(home: Home, measured: "Measured", story: Story) -> int:
    """Checks all ledgers, and that each acknowledged transaction is in them exactly once. Returns the height."""
    reports, problems = audit_stores(home.genesis, stores_of(home))
    if problems:
        raise NotDone(f"the audit found: {problems[0]}")
    if len(reports) != home.genesis.group.n or len({report.hashes for report in reports}) != 1:
        raise NotDone("the ledgers are not identical")
    if {report.transactions for report in reports} != {len(measured.receipts)}:
        raise NotDone(f"{len(measured.receipts)} transactions were acknowledged, {reports[0].transactions} are stored")
    height = reports[0].height or 0
    blocks = {receipt.header.height: receipt.header.hash for receipt in measured.receipts.values()}
    if any(reports[0].hashes[number] != block for number, block in blocks.items()):
        raise NotDone("a receipt names a block that is not in the ledgers")
    story.held(f"{len(reports)} ledgers audited: identical up to block {height}, with every transaction exactly once")
    return height


def _check_receipt(genesis: Genesis, receipt: Receipt, file: Path, story: Story) -> None:
    """Verifies a receipt from its file with nothing but the genesis, and refuses it with any byte changed."""
    file.write_bytes(receipt.encode())
    data = file.read_bytes()
    try:
        verify_receipt(data, genesis, Ed25519Verifier())
    except (Malformed, BadProof, BadSignature) as error:
        raise NotDone(f"a receipt does not hold: {error}") from None
    story.held(f"a receipt of {len(data):,} bytes verified offline")
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            verify_receipt(changed, genesis, Ed25519Verifier())
        except (Malformed, BadProof, BadSignature):
            continue
        raise NotDone(f"a receipt still holds with byte {position} changed")
    story.held("the same receipt with one byte changed refused, for each of its bytes")


def _figures(summary: dict[str, Any]) -> dict[str, object]:
    rate, without_gap = summary["tx_per_s"], summary["tx_per_s_without_gap"]
    return {
        "throughput": f"{rate:,.0f} transactions/s, {without_gap:,.0f} without the gap",
        "latency": f"p50 {summary['p50_ms']:,.0f} ms, p99 {summary['p99_ms']:,.0f} ms",
        "gap": f"{summary['gap_ms']:,} ms without a commit, from the kill",
        "blocks": f"{summary['blocks']:,}",
        "view": f"{summary['view']}, after {output.plural(summary['view'], 'view change')}",
        "took": f"{summary['total_seconds']} s in all",
    }
