"""The foot of the page about attacks: how it was measured and judged, and on what, as HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bftledger.bench.attack_plan import FEW

_COST: Final = (
    "A mean over the whole attack depends on how long that is: who stops everything for a second and is replaced "
    "leaves half of two seconds, and nine tenths of ten. So the table is sorted by the cost, in seconds of the run's "
    "own clean throughput: what was lost until an honest primary of another view took over, which is lost once, or in "
    "the whole attack where nobody was replaced, which goes on for as long as it lies. In an open loop what was held "
    "up is done later, so look at the latency there."
)

_PLACE: Final = (
    "Where a traitor stands follows from the family of its behaviour: one of primaries in the primary, one of view "
    "changes in the replica that is next in line, any other in a backup. That it does most harm there was not "
    "measured. Some need an occasion, which they get when they begin: the primary is stopped until the others have "
    "left its view, or a backup is stopped until it lags. That costs by itself, so they are compared with honest runs "
    "in which the same is done."
)

_MARKS: Final = (
    "Where a behaviour has several runs, in rounds over all of "
    "them, the run with the median is shown, and the verdict is the worst of all. "
    f"Who deviated less than {FEW} times in a run had few occasions: such a run shows little, unless all that the "
    "behaviour does is to keep silent."
)

_MACHINE: Final = (
    "All replicas and clients share the processors of one machine, which biases both ways. What the traitor does by "
    "itself costs the others, as it would not on machines of their own; and one that does nothing any more leaves them "
    "its part of the processor time, so that the others are faster without it. Processor time is therefore given by "
    "replica: what an attack makes an honest one do is bounded if its share of a core is."
)


def method(document: Mapping[str, Any]) -> str:
    """For whoever wants to know what the figures mean."""
    config = document["config"]
    clean, attacked, after = (f"{part:g} s" for part in config["seconds"])
    group = (
        f"Each run is a new group of {config['replicas']} processes on one machine, with the traitors among them from "
        f"the start. They are honest for {clean}, lie for {attacked}, and are honest again for {after}. All others are "
        "what an operator runs, every vote and block durable before anything that depends on it is sent."
    )
    said = [group, _load(config), _COST, _PLACE, _noise(document) + _MARKS, _MACHINE]
    oracles = {
        "agreement": "the honest replicas have the same block at every height.",
        "durability": "what a client has a receipt for stands where the receipt says, at f+1 honest replicas at least.",
        "integrity": "each honest store passes the audit: hashes, signatures, certificates, votes, all executed anew.",
        "progress": "each transaction that a client submitted came to a receipt, also during the attack, and none "
        "later than the protocol needs for the view changes that the run had.",
        "guilt": "no honest replica is convicted of anything.",
    }
    listed = "".join(f"<li><b>{name}</b>: {what}</li>" for name, what in oracles.items())
    shown = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in said)
    return f"{shown}<p>The verdict is that of the simulator's oracles, on the real stores:</p><ul>{listed}</ul>"


def _load(config: Mapping[str, Any]) -> str:
    if config.get("rate") is not None:
        return (
            f"{config['rate']:g} transactions are due each second, whatever becomes of those before them; "
            f"{config['clients']} clients take turns. Latency counts from the moment at which one was due until its "
            "receipt is verified, so a stall is charged for all that it keeps waiting."
        )
    return (
        f"Each of the {config['clients']} clients has one transaction under way, and counts it when its receipt is "
        "verified: inclusion paths, header and the signatures of a quorum. What an attack holds up holds up its "
        "client, so throughput falls when latency rises, and a gap is a gap for everybody. But while nothing comes "
        "nothing is asked for, so the percentiles of latency say little of a stall: the gaps are shaded among the "
        "latencies."
    )


def _noise(document: Mapping[str, Any]) -> str:
    if not document.get("controls"):
        return ""
    return (
        "The same is done with groups in which nobody lies, for each occasion. What they keep between the same moments "
        "is the noise of this machine, and no smaller difference means anything. "
    )


def setting(document: Mapping[str, Any]) -> str:
    """A table each of what the result says about where and with what it was measured."""
    about = {
        "Machine": document["machine"] | {"calibration": document["calibrations"]},
        "Software": document["versions"] | {"commit": document["commit"] or "not from a checkout"},
        "Configuration": document["config"] | {"seed": document["seed"], "measured": document["when"]},
    }
    return "\n".join(_table(name, _flat(facts)) for name, facts in about.items())


def _table(name: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{html.escape(key.replace("_", " "))}</th><td>{html.escape(value)}</td></tr>'
        for key, value in rows
    )
    return f"<table><caption>{name}</caption><tbody>{lines}</tbody></table>"


def _flat(facts: Mapping[str, Any], within: str = "") -> Iterable[tuple[str, str]]:
    for key, value in facts.items():
        match value:
            case Mapping():
                yield from _flat(value, f"{within}{key} ")
            case list() | tuple():
                yield within + key, ", ".join(map(str, value))
            case bool() | str() | None:
                yield within + key, "–" if value is None else str(value)
            case _:
                yield within + key, f"{value:,}"
