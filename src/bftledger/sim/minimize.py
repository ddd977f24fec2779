"""A failing plan made small: the fewest faults, and the simplest circumstances, that still fail.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over each list in the
plan, and then one simplification after the other, all of it again until nothing more can go. What is left out of the
result is not needed for the failure; what is still in it is, as long as the rest stays. The same plan gives the same
result.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final, TypeVar

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.pbft.settings import Settings
from bftledger.sim.plan import Crash, Cut, Fault, Plan, Storm, Weather, Work
from bftledger.sim.run import Report, run
from bftledger.sim.script import Partition

RUNS: Final = 2_000
"""More attempts are not made unless they are asked for."""

LEAST_N: Final = 4

Progress = Callable[[int, Plan], None]
"""Is told after each attempt how many there were, and what is the smallest plan so far that fails."""

Link = tuple[ReplicaId, ReplicaId]

T = TypeVar("T")


def same_oracle(report: Report) -> Callable[[Plan], bool]:
    """Whether a plan's run displeases the oracle with the gravest objection to this one, which is what failing means.

    Raises `OperatorError` if none did.
    """
    if report.gravest is None:
        raise OperatorError("no oracle objects to this run: there is nothing to minimize")
    oracle = report.gravest.oracle
    return lambda plan: any(violation.oracle == oracle for violation in run(plan).violations)


def minimize(plan: Plan, fails: Callable[[Plan], bool], progress: Progress | None = None, *, limit: int = RUNS) -> Plan:
    """The smallest plan that was found in `limit` attempts and of which `fails` is true, as it must be of `plan`."""
    search = _Search(plan, fails, progress or (lambda runs, smallest: None), limit)
    before = None
    while search.best != before:
        before = search.best
        for shrink in (
            search.faults,
            search.traitors,
            search.twins,
            search.script,
            search.work,
            search.group,
            search.circumstances,
            search.times,
        ):
            shrink()
    return search.best


class _Search:
    """The smallest plan so far, and the ways to make it smaller."""

    def __init__(self, plan: Plan, fails: Callable[[Plan], bool], progress: Progress, limit: int) -> None:
        self.best = plan
        self._fails = fails
        self._progress = progress
        self._limit = limit
        self._runs = 0
        self._tried: set[Hashable] = {_key(plan)}

    def accepts(self, plan: Plan) -> bool:
        """Whether this one fails as well; then it is the smallest so far. None is tried twice."""
        key = _key(plan)
        if key in self._tried or self._runs >= self._limit:
            return False
        self._tried.add(key)
        self._runs += 1
        is_failing = self._fails(plan)
        if is_failing:
            self.best = plan
        self._progress(self._runs, self.best)
        return is_failing

    # ── lists ──

    def faults(self) -> None:
        """Fewer faults, and fewer links in each cut."""
        _fewer(self.best.faults, lambda kept: self.accepts(replace(self.best, faults=kept)))
        for number, fault in enumerate(self.best.faults):
            if isinstance(fault, Cut):
                _fewer(fault.links, partial(self._keep_links, number))

    def _keep_links(self, number: int, kept: tuple[Link, ...]) -> bool:
        return bool(kept) and self._change(number, links=kept)

    def traitors(self) -> None:
        """Fewer traitors, and fewer habits of each."""
        _fewer(tuple(self.best.traitors.items()), lambda kept: self.accepts(replace(self.best, traitors=dict(kept))))
        for traitor, habits in tuple(self.best.traitors.items()):
            _fewer(habits, partial(self._keep_habits, traitor))

    def _keep_habits(self, traitor: ReplicaId, kept: tuple[str, ...]) -> bool:
        return bool(kept) and self.accepts(replace(self.best, traitors={**self.best.traitors, traitor: kept}))

    def twins(self) -> None:
        """Fewer twins."""
        for twin in self.best.twins:
            self.accepts(without_twin(self.best, twin))

    def script(self) -> None:
        """Fewer views with a partition, and fewer sets in each."""
        while self._rewrite(lambda views: views[:-1]):
            pass
        for view in range(len(self.best.script.views) if self.best.script else 0):
            while self._rewrite(partial(_joined, view)):
                pass

    def _rewrite(self, change: Callable[[tuple[Partition, ...]], tuple[Partition, ...]]) -> bool:
        script = self.best.script
        if script is None or not script.views:
            return False
        views = change(script.views)
        return self.accepts(replace(self.best, script=replace(script, views=views) if views else None))

    # ── numbers ──

    def work(self) -> None:
        """Fewer clients that want less."""
        for name, least in (("hostile", 0), ("clients", 1), ("operations", 1), ("burst", 1), ("keys", 1)):
            _least(least, getattr(self.best.work, name), partial(self._want, name))

    def _want(self, name: str, value: int) -> bool:
        return self._set("work", name, value)

    def group(self) -> None:
        """The smallest group, if all that the plan names are in it and it has no more traitors than it tolerates."""
        plan = self.best
        faulty = {*plan.traitors, *plan.twins}
        named = {*faulty, *(place for fault in plan.faults for place in _places(fault))}
        if plan.script is None and max(named, default=0) < LEAST_N and len(faulty) <= (LEAST_N - 1) // 3:
            links = plan.links and plan.links.of(range(LEAST_N))
            self.accepts(replace(plan, n=LEAST_N, skew_ms=plan.skew_ms[:LEAST_N], links=links))

    def times(self) -> None:
        """Faults that end earlier and begin later, and an earlier end of all of them."""
        for number, fault in enumerate(self.best.faults):
            _least(fault.at + 1, fault.until, partial(self._end, number))
            _least(1, self.best.faults[number].until - fault.at, partial(self._last, number))
        over = max((fault.until for fault in self.best.faults), default=0)
        over = max(over, self.best.script.ends_at if self.best.script else 0)
        _least(over, self.best.heal_at, lambda at: self.accepts(replace(self.best, heal_at=at)))

    def _end(self, number: int, until: int) -> bool:
        return self._change(number, until=until)

    def _last(self, number: int, length: int) -> bool:
        return self._change(number, at=self.best.faults[number].until - length)

    # ── one thing of many ──

    def _change(self, number: int, **values: Any) -> bool:
        faults = list(self.best.faults)
        faults[number] = replace(faults[number], **values)
        return self.accepts(replace(self.best, faults=tuple(faults)))

    def _set(self, part: str, name: str, value: Any) -> bool:
        changed: dict[str, Any] = {part: replace(getattr(self.best, part), **{name: value})}
        return self.accepts(replace(self.best, **changed))

    # ── circumstances ──

    def circumstances(self) -> None:
        """Everything as it usually is: all together, and then one by one."""
        for changed in _PLAIN:
            self.accepts(replace(self.best, **changed))
        for part, usual in _USUAL.items():
            for name, value in usual.items():
                self._set(part, name, value)
        for number, fault in enumerate(self.best.faults):
            if isinstance(fault, Storm):
                for name, value in _defaults(Weather).items():
                    storm = self.best.faults[number]
                    assert isinstance(storm, Storm), "a change of a storm leaves a storm"
                    self._change(number, weather=replace(storm.weather, **{name: value}))
            elif isinstance(fault, Crash):
                self._change(number, fuse=0, sent=-1)


def _defaults(cls: type) -> dict[str, Any]:
    return {field.name: field.default for field in fields(cls)}


_PLAIN: Final[tuple[dict[str, Any], ...]] = (
    {"weather": Weather()},
    {"settings": Settings()},
    {"skew_ms": ()},
    {"round_us": Plan(seed=0).round_us},
    {"real_keys": False},
    {"links": None},
    {"max_payload_bytes": Plan(seed=0).max_payload_bytes},
)

_USUAL: Final[dict[str, dict[str, Any]]] = {
    "weather": _defaults(Weather),
    "settings": _defaults(Settings),
    "work": {
        "reads": 0.0,
        "think_ms": 0,
        "payload_bytes": 0,
        "lifetime_ms": Work().lifetime_ms,
        "patience_ms": Work().patience_ms,
        "spread_ms": 0,
        "hostile_rest_ms": 0,
    },
}


# ── how ──


def _fewer(items: tuple[T, ...], fails: Callable[[tuple[T, ...]], bool]) -> None:
    """Leaves items out, first all, then halves, quarters … and at last each one, as long as the others fail."""
    pieces = 1
    while items:
        size = -(-len(items) // pieces)
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if fails(rest):
                items, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                return
            pieces *= 2


def _least(low: int, high: int, fails: Callable[[int], bool]) -> None:
    """Looks for the least number from `low` to `high` that still fails: the lowest one first, then by halves."""
    if low >= high or fails(low):
        return
    low += 1
    while low < high:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle + 1


def without_twin(plan: Plan, twin: ReplicaId) -> Plan:
    """The plan in which this twin is an honest replica like others; faults of its second machine are gone, too."""
    gone = plan.n + plan.twins.index(twin)

    def kept(places: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(place - (place > gone) for place in places if place != gone)

    script = plan.script
    if script is not None:
        views = tuple(tuple(filter(None, map(kept, partition))) for partition in script.views)
        script = replace(script, views=views)
    return replace(
        plan,
        twins=tuple(other for other in plan.twins if other != twin),
        script=script,
        skew_ms=plan.skew_ms[:gone] + plan.skew_ms[gone + 1 :],
        links=plan.links and plan.links.of([place for place in range(plan.n + len(plan.twins)) if place != gone]),
        faults=tuple(fault for fault in plan.faults if max(_places(fault), default=0) < plan.n),
    )


def _joined(view: int, views: tuple[Partition, ...]) -> tuple[Partition, ...]:
    """The partitions, with the last two sets of that view made one."""
    *others, last = views[view]
    if not others:
        return views
    *others, before = others
    return (*views[:view], (*others, tuple(sorted(before + last))), *views[view + 1 :])


def _places(fault: Fault) -> Iterator[int]:
    """The machines that a fault names; clients are none."""
    if isinstance(fault, Cut):
        yield from (place for link in fault.links for place in link if place >= 0)
    elif not isinstance(fault, Storm):
        yield fault.replica


def _key(plan: Plan) -> str:
    return repr(plan)
