"""The foot of the page about attacks: how it was measured and judged, and on what, as HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from bftledger.bench.attack_plan import FEW


def method(document: Mapping[str, Any]) -> str:
    """For whoever wants to know what the figures mean."""
    config = document["config"]
    clean, attacked, after = (f"{part:g} s" for part in config["seconds"])
    group = (
        f"Each run is a new group of {config['replicas']} processes on one machine, with the traitors among them from "
        f"the start. They are honest for {clean}, lie for {attacked}, and are honest again for {after}. All others are "
        "what an operator runs, every vote and block durable before anything that depends on it is sent."
    )
    load = (
        f"Each of the {config['clients']} clients has one transaction under way, and counts it when its receipt is "
        "verified: inclusion paths, header and the signatures of a quorum. What an attack holds up holds up its "
        "client, so throughput falls when latency rises, and a gap is a gap for everybody."
    )
    place = (
        "A traitor stands where it does most harm: a behaviour of primaries in the primary, one of view changes in the "
        "replica that is next in line, any other in a backup. Some need an occasion, which they get when they begin: "
        "the primary is stopped until the others have left its view, or a backup is stopped until it lags."
    )
    noise = (
        "The same is done with groups in which nobody lies. What they keep between the same moments is the noise of "
        "this machine, and no smaller difference means anything. "
        if document.get("controls")
        else ""
    )
    marks = (
        "Where a behaviour has several runs, in rounds over all of "
        "them, the run with the median is shown, and the verdict is the worst of all. "
        f"Who deviated less than {FEW} times in a run had few occasions: such a run shows little, unless all that the "
        "behaviour does is to keep silent."
    )
    machine = (
        "The traitor thinks and signs on the same processors as everybody else, so its own effort costs the group, "
        "too. On a machine each, a group keeps more of its throughput than here under the noisy attacks."
    )
    oracles = {
        "agreement": "the honest replicas have the same block at every height.",
        "durability": "what a client has a receipt for stands where the receipt says, at f+1 honest replicas at least.",
        "integrity": "each honest store passes the audit: hashes, signatures, certificates, votes, all executed anew.",
        "progress": "each transaction that a client submitted came to a receipt, also during the attack, and none "
        "later than the protocol needs for the view changes that the run had.",
        "guilt": "no honest replica is convicted of anything.",
    }
    listed = "".join(f"<li><b>{name}</b>: {what}</li>" for name, what in oracles.items())
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in (group, load, place, noise + marks, machine))
    return f"{said}<p>The verdict is that of the simulator's oracles, on the real stores:</p><ul>{listed}</ul>"


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
