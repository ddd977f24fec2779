"""What `sim` does: one run, explained, written down or drawn; or a campaign of many."""

import json as json_format
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import typer
from rich.status import Status

from bftledger.adversary import catalogue
from bftledger.base.errors import OperatorError
from bftledger.cli import output, sim_campaign
from bftledger.cli.sim_show import facts_of, show_report, size_of, subject_of
from bftledger.sim import handwritten, shapes
from bftledger.sim.campaign import Source
from bftledger.sim.diagram import diagram
from bftledger.sim.draw import Choice
from bftledger.sim.minimize import minimize, same_oracle
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Recording
from bftledger.sim.run import run
from bftledger.sim.transcript import transcript as transcript_of
from bftledger.sim.twins import Family, Scenario
from bftledger.sim.world import World

MAX_REPLICAS: Final = 31
DEFAULT_SEEDS: Final = 1_000
DEFAULT_SIZES: Final = ",".join(map(str, Choice().sizes))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What kind of runs, in which words, and for whom the answer is."""

    source: Source
    words: str
    """The options that make a seed the same run again."""
    json: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The options that say which runs a seed stands for, as they were given."""

    replicas: str
    byzantine: tuple[str, ...]
    excess: bool
    collude: bool
    calm: bool
    real_keys: bool
    twins: int
    partitions: int | None
    views: int | None
    network: str

    def source(self) -> Source:
        """What makes plans of seeds. Raises `Misused`."""
        return self._family() if self.twins else self._choice()

    def _choice(self) -> Choice:
        if self.partitions is not None or self.views is not None:
            raise output.Misused("--partitions and --views are about twins: name how many with --twins")
        if self.excess and self.byzantine:
            raise output.Misused("--excess says who is Byzantine: leave out --byzantine")
        if self.excess and self.collude:
            raise output.Misused("--excess is about traitors that collude in any case: leave out --collude")
        if self.collude and not self.byzantine:
            raise output.Misused("--collude is about replicas that --byzantine names: name some")
        if self.network not in ("", *shapes.NAMES):
            raise output.Misused(f"--network {self.network}: give one of {', '.join(shapes.NAMES)}")
        sizes = _sizes(self.replicas)
        choice = Choice(
            sizes=sizes,
            traitors=_traitors(self.byzantine, min(sizes)),
            excess=self.excess,
            collude=self.collude,
            calm=self.calm,
            real_keys=self.real_keys,
            network=self.network,
        )
        for n in sorted(set(sizes)) if self.byzantine else ():
            try:
                World(replace(choice, sizes=(n,)).plan(0))  # what follows a colon means something to a replica only
            except OperatorError as error:
                raise output.Misused(f"--byzantine {error}") from None
        return choice

    def _family(self) -> Family:
        if self.network:
            raise output.Misused("--twins says who hears whom: leave out --network")
        if self.byzantine or self.excess or self.collude or self.calm or self.real_keys:
            raise output.Misused("--twins says all that goes wrong: leave out --byzantine, --excess and their like")
        sizes = _sizes(self.replicas)
        n = 4 if self.replicas == DEFAULT_SIZES else sizes[0]
        if len(set(sizes)) > 1 and self.replicas != DEFAULT_SIZES:
            raise output.Misused(f"--replicas {self.replicas}: twins are of one size of group, as --replicas 7")
        if self.twins >= n:
            raise output.Misused(f"--twins {self.twins}: at least one of {n} replicas has to be honest")
        usual = Family()
        return Family(
            n=n,
            twins=self.twins,
            partitions=self.partitions or usual.partitions,
            views=self.views or usual.views,
        )

    def words(self) -> str:
        """The same as they are typed, without those that have their default."""
        said = "" if self.replicas == DEFAULT_SIZES else f" --replicas {self.replicas}"
        said += "".join(f" --byzantine {name}" for name in self.byzantine)
        if self.twins:
            said += f" --twins {self.twins}"
        said += "" if self.partitions is None else f" --partitions {self.partitions}"
        said += "" if self.views is None else f" --views {self.views}"
        said += f" --network {self.network}" if self.network else ""
        flags = (
            ("--excess", self.excess),
            ("--collude", self.collude),
            ("--calm", self.calm),
            ("--ed25519", self.real_keys),
        )
        return said + "".join(f" {flag}" for flag, is_set in flags if is_set)


def one(
    wanted: Wanted,
    seed: int,
    plan_file: Path | None,
    *,
    minimizes: bool,
    save_plan: Path | None,
    transcript: bool,
    html: Path | None,
) -> None:
    """One run. Raises `NotDone` if an oracle objects."""
    if plan_file is None:
        check_seeds(wanted.source, seed, 1)
    plan = wanted.source.plan(seed) if plan_file is None else _read_plan(plan_file)
    if minimizes:
        plan = _minimized(plan)
    recording = Recording()
    report = run(plan, recording)
    if save_plan is not None:
        _write(save_plan, json_format.dumps(plan.to_json(), indent=2) + "\n")
    subject = subject_of(report)
    if html is not None:
        _write(html, diagram(subject, recording))
    if wanted.json:
        output.emit(facts_of(report))
    elif transcript:
        typer.echo(transcript_of(subject, recording), nl=False)
    else:
        show_report(report, subject, recording, html)
    if report.violations:
        raise output.NotDone(f"seed {plan.seed}: {output.plural(len(report.violations), 'violation')}")


def _minimized(plan: Plan) -> Plan:
    """The smallest plan that fails as this one does. Raises `OperatorError` if it does not fail."""
    fails = same_oracle(run(plan))
    with Status("looking for less that still fails", console=output.console(stderr=True)) as status:

        def tell(attempts: int, smallest: Plan) -> None:
            status.update(f"{output.plural(attempts, 'attempt')}: {size_of(smallest)}")

        smallest = minimize(plan, fails, tell)
    output.note(f"from {size_of(plan)}")
    output.note(f"to   {size_of(smallest)}")
    return smallest


def many(wanted: Wanted, first: int, seeds: int | None, jobs: int | None, *, keeps_traces: bool) -> None:
    """A campaign: `seeds` None: as many as are usual; 0: until somebody ends it. Raises `NotDone` as `one` does."""
    total = wanted.source.count if isinstance(wanted.source, Family) else None
    if seeds is None:
        seeds = DEFAULT_SEEDS if total is None else max(total - first, 1)
    check_seeds(wanted.source, first, seeds)
    outcome = sim_campaign.run_campaign(
        first, seeds or None, wanted.source, jobs=jobs or os.cpu_count() or 1, keeps_traces=keeps_traces
    )
    if wanted.json:
        output.emit(sim_campaign.facts(outcome))
    else:
        sim_campaign.show(outcome, wanted.words)
    if outcome.tally.failed:
        raise output.NotDone(f"{output.plural(outcome.tally.failed, 'run')} of {outcome.tally.runs:,} went wrong")
    if not wanted.json:
        output.say("no oracle objects", output.GOOD)


def check_seeds(source: Source, first: int, seeds: int) -> None:
    """Raises `Misused` for a number that no scenario has; where there are so many that seeds draw them, all have one.

    `seeds`: 0: until somebody ends it; then it begins anew after the last scenario.
    """
    total = source.count if isinstance(source, Family) else None
    if total is not None and (first >= total or first + seeds > total):
        raise output.Misused(f"there are {total:,} such scenarios of twins: their numbers are 0 to {total - 1}")


def _sizes(text: str) -> tuple[int, ...]:
    sizes = [int(part) for part in text.split(",") if part.strip().isascii() and part.strip().isdigit()]
    if len(sizes) != text.count(",") + 1 or not all(4 <= n <= MAX_REPLICAS for n in sizes):
        raise output.Misused(f"--replicas {text}: give sizes from 4 to {MAX_REPLICAS}, as 4,7")
    return tuple(sizes)


def _traitors(names: tuple[str, ...], n: int) -> tuple[tuple[str, int], ...] | None:
    """NAME, NAME:COUNT or NAME:ARGUMENT:COUNT, for an argument may look like a count. `n`: of the smallest group."""
    if not names:
        return None
    found = []
    for text in names:
        name, _, last = text.rpartition(":")
        is_counted = bool(name) and last.isascii() and last.isdigit()
        behaviour, count = (name, int(last)) if is_counted else (text, 1)
        try:
            catalogue.parse(behaviour)
        except OperatorError as error:
            raise output.Misused(f"--byzantine {error}") from None
        if not count:
            raise output.Misused(f"--byzantine {text}: counts begin at 1; --calm is for none")
        found.append((behaviour, count))
    if sum(count for _, count in found) >= n:
        raise output.Misused(f"--byzantine: at least one of {n} replicas has to be honest")
    return tuple(found)


def _read_plan(path: Path) -> Plan:
    """A plan, or a scenario of twins."""
    try:
        data = json_format.loads(path.read_text())
    except OSError as error:
        raise OperatorError(f"{output.pretty(path)}: {error.strerror}") from None
    except ValueError as error:
        raise OperatorError(f"{output.pretty(path)} is not JSON: {error}") from None
    if isinstance(data, dict) and "views" in data:
        return Scenario.from_json(data).plan()
    plan = Plan.from_json(data)
    handwritten.check(plan)
    return plan


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise OperatorError(f"{output.pretty(path)}: {error.strerror}") from None
    output.note(f"wrote {output.pretty(path)}")
