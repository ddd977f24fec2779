"""A plan that was changed by hand: what can mean nothing is refused with what is wrong, before anything runs."""

from typing import Any

import pytest

from bftledger.base.errors import OperatorError
from bftledger.sim.draw import Choice, draw
from bftledger.sim.handwritten import check
from bftledger.sim.plan import Plan
from bftledger.sim.twins import Family


def written(**changes: Any) -> Plan:
    """A plan with these parts of its JSON changed: `work__clients` is the number of clients in `work`."""
    data = draw(4, Choice(sizes=(4,))).to_json() | {"faults": [], "heal_at": 100}
    for name, value in changes.items():
        part, _, inner = name.partition("__")
        if inner:
            data[part][inner] = value
        else:
            data[part] = value
    return Plan.from_json(data)


def a_crash(**changes: Any) -> dict[str, Any]:
    return {"kind": "crash", "at": 1, "until": 5, "replica": 1} | changes


def test_what_is_drawn_is_never_refused() -> None:
    for seed in range(300):
        check(draw(seed))
        check(draw(seed, Choice(excess=True)))
        check(Family().plan(seed))


def test_a_plan_changed_within_reason_is_none_the_worse() -> None:
    check(written(n=5, work__clients=1, faults=[a_crash(replica=4)], traitors={"0": ["silent"]}))


@pytest.mark.parametrize(
    "links",
    [
        5,
        {},
        {"regions": [0] * 4},
        {"regions": [0] * 4, "delays_us": [5]},
        {"regions": [0] * 4, "delays_us": [[5]], "speed": 1},
    ],
    ids=str,
)
def test_links_of_another_shape_are_none(links: Any) -> None:
    with pytest.raises(OperatorError, match="this is not a plan"):
        written(links=links)


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({"n": 3}, "n is 4 at least"),
        ({"n": "4"}, "n is a whole number"),
        ({"seed": 1.5}, "seed is a whole number"),
        ({"heal_at": -1}, "heal_at is 0 at least"),
        ({"skew_ms": ["a"]}, "skew_ms are whole numbers"),
        ({"real_keys": 1}, "real_keys is true or false"),
        ({"weather__loss": 2}, "weather.loss is a number from 0 to 1"),
        ({"work__clients": 0}, "work.clients is 1 at least"),
        ({"settings__window": 0}, "settings.window is 1 at least"),
        ({"traitors": {"9": ["mute"]}}, "traitor 9 is no replica from 0 to 3"),
        ({"traitors": {"0": [7]}}, "what traitor 0 does are names"),
        ({"traitors": {str(i): ["mute"] for i in range(4)}}, "nobody is honest"),
        ({"twins": [9]}, "twins are different replicas from 0 to 3"),
        ({"twins": [1, 1]}, "twins are different replicas from 0 to 3"),
        ({"faults": [a_crash(replica=4)]}, r"faults\[0\] names a replica that there is not"),
        ({"faults": [a_crash(replica=-1)]}, r"faults\[0\].replica is 0 at least"),
        ({"faults": [a_crash(until=1)]}, r"faults\[0\] has to begin before it ends"),
        (
            {"faults": [a_crash(), a_crash(until=101)]},
            r"faults\[1\] has to begin before it ends, and to end by heal_at",
        ),
        ({"faults": [{"kind": "cut", "at": 1, "until": 5, "links": [[0, 77]]}]}, "names a replica that there is not"),
        ({"script": {"views": [], "view_ms": 0}}, "script.view_ms is 1 at least"),
        ({"links": {"regions": [0], "delays_us": [[5]]}}, "links.regions are 4, one for each machine"),
        ({"links": {"regions": [0] * 4, "delays_us": [[5]], "jitter_us": -1}}, "links.jitter_us is 0 at least"),
        ({"links": {"regions": [0] * 4, "delays_us": [[5]], "up": [1, 1, 1, 0]}}, "links.up and links.down are empty"),
        ({"max_payload_bytes": 0}, "max_payload_bytes is 1 at least"),
    ],
)
def test_what_makes_no_run_is_said(changes: dict[str, Any], objection: str) -> None:
    with pytest.raises(OperatorError, match=objection):
        check(written(**changes))
