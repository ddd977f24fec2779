"""`sim`: whole groups in one thread, from one seed. The command line only: `simulate` does it.

The simulator brings the adversaries along, so it is loaded when it is asked for, and never with a replica.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from bftledger.cli import output
from bftledger.cli.options import JsonOption, examples

MAX_SEED = (1 << 63) - 1


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "bftledger sim --seed 7                   one run, explained",
            "bftledger sim --seed 7 --html run.html   and drawn, message by message",
            "bftledger sim --seed 7 --byzantine equivocate --replicas 4",
            "bftledger sim --seeds 10000 --jobs 2     a campaign",
            "bftledger sim --seeds 100 --network wan  over long distances",
            "bftledger sim --twins 1                  all 16,384 ways to have a twin",
            "bftledger sim --seeds 100 --excess       f+1 traitors: they fork it",
        ),
        short_help="Runs whole groups on virtual time, from a seed.",
    )(sim)


def sim(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Run this seed, and explain it.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=0, help="Run so many seeds, from --first on; 0: until Ctrl-C.  [default: 1000]")
    ] = None,
    first: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="The first seed of a campaign, or number of --twins.")
    ] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes to spread a campaign over.  [default: one per core]")
    ] = None,
    replicas: Annotated[
        str, typer.Option(metavar="N[,N]", help="Sizes of groups: each seed draws one of these.  [default: 4,4,4,7]")
    ] = "",
    byzantine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:COUNT]",
            help="So many replicas misbehave so, as bftledger-adversary lists it; repeatable. "
            "[default: as the seed wants, f at most]",
        ),
    ] = None,
    excess: Annotated[bool, typer.Option("--excess", help="f+1 traitors that collude: more than any group bears.")] = (
        False
    ),
    collude: Annotated[bool, typer.Option("--collude", help="Those that --byzantine names share their keys.")] = False,
    twins: Annotated[
        int,
        typer.Option(
            min=0,
            max=10,
            help="So many replicas are run twice, by honest cores that know nothing of each other; where all scenarios "
            "are few enough, each is tried, and a seed is its number.",
        ),
    ] = 0,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="With --twins: so many sets of cores in a view.  [default: 2]"),
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, max=16, help="With --twins: so many views have a partition.  [default: 3]")
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the replicas are connected by, for good: wan (regions around the world), tails (now and then a "
            "message takes very long), narrow (lines that carry little), mixed (of these what the seed draws, and "
            "hostile clients that never stop).  [default: one place, and as much as one likes]",
        ),
    ] = "",
    calm: Annotated[bool, typer.Option("--calm", help="No faults and no traitors but those that are named.")] = False,
    real_keys: Annotated[bool, typer.Option("--ed25519", help="Sign with Ed25519 instead of keyed hashes.")] = False,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run this plan, or Twins scenario, instead of a seed's.")
    ] = None,
    minimize: Annotated[
        bool, typer.Option("--minimize", help="Shrink a run that fails to the least that still fails, and show that.")
    ] = False,
    save_plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plan of the run, to be changed and run with --plan.")
    ] = None,
    show_transcript: Annotated[
        bool, typer.Option("--transcript", help="Print the run message by message, as golden transcripts are.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the run as one page that needs nothing but a browser.")
    ] = None,
    traces: Annotated[
        bool, typer.Option("--traces", help="With --json: each seed's trace, a hash of what was sent.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Runs whole groups in one thread on virtual time: the real replicas and clients, from one seed.

    Each seed draws a group, its weather, partitions, crashes, clocks, traitors and clients; then all faults but the
    traitors' end, and everything must be answered. Oracles watch: agreement, durability, integrity, promises,
    linearizability, progress, bounds. The same seed gives the same run, event by event, whatever the hash seed.

    Exit status: 0 if no oracle objects, 1 if one does, 2 for options that make no sense together.
    """
    from bftledger.cli import simulate  # noqa: PLC0415  (see above)

    options = simulate.Options(
        replicas=replicas or simulate.DEFAULT_SIZES,
        byzantine=tuple(byzantine or ()),
        excess=excess,
        collude=collude,
        calm=calm,
        real_keys=real_keys,
        twins=twins,
        partitions=partitions,
        views=views,
        network=network,
    )
    wanted = simulate.Wanted(source=options.source(), words=options.words(), json=json)
    _refuse_nonsense(context)
    if seed is not None or plan is not None:
        simulate.one(
            wanted,
            seed or 0,
            plan,
            minimizes=minimize,
            save_plan=save_plan,
            transcript=show_transcript,
            html=html,
        )
    else:
        simulate.many(wanted, first, seeds, jobs, keeps_traces=traces)


_ONE: Final = ("minimize", "save_plan", "show_transcript", "html")
_MANY: Final = ("seeds", "first", "jobs", "traces")
_DRAWN: Final = (
    "seed",
    "replicas",
    "byzantine",
    "excess",
    "collude",
    "twins",
    "partitions",
    "views",
    "calm",
    "real_keys",
    "network",
)


def _refuse_nonsense(context: typer.Context) -> None:
    """Raises `Misused` for options of which one would do nothing."""
    given: dict[str, str] = {}
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name and source is not None and source.name == "COMMANDLINE":
            given[option.name] = option.opts[0]

    def first_of(names: tuple[str, ...]) -> str | None:
        return next((given[name] for name in names if name in given), None)

    is_one = "seed" in given or "plan" in given
    if "plan" in given and (name := first_of(_DRAWN)):
        raise output.Misused(f"{name} says what to draw, and a plan says all of its run: leave out one of them")
    if is_one and (name := first_of(_MANY)):
        raise output.Misused(f"{name} is about many runs, and --seed or --plan about one: leave out one of them")
    if not is_one and (name := first_of(_ONE)):
        raise output.Misused(f"{name} is about one run: name it with --seed or --plan")
    if "traces" in given and not context.params["json"]:
        raise output.Misused("--traces is for programs: add --json")
    if "show_transcript" in given and context.params["json"]:
        raise output.Misused("--transcript and --json both answer on standard output: leave out one of them")
