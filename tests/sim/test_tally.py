"""What campaigns add up: the behaviours of which nobody ever saw anything are named."""

from collections import Counter

from bftledger.base.ids import ReplicaId
from bftledger.sim.campaign import Tally
from bftledger.sim.plan import Plan
from bftledger.sim.run import Report


def a_report(*names: str, lies: str = "") -> Report:
    plan = Plan(seed=0, traitors={ReplicaId(0): names})
    return Report(plan, (), "", 0, 0, 0, counts=Counter({f"lies: {lies}": 1}) if lies else Counter())


def test_a_behaviour_that_was_drawn_and_never_lied_is_named() -> None:
    tally, other = Tally(), Tally()
    tally.add(a_report("silent", "equivocate", "collude", lies="silent"))
    tally.add(a_report("late:5", "random"))

    assert tally.never_lied == ["equivocate", "late"]

    other.add(a_report("equivocate", lies="equivocate"))
    tally.merge(other)
    assert tally.never_lied == ["late"]
