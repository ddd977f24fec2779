"""The search for an order: what one machine could have answered passes, and nothing else does."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from bftledger.apps.machine import CONFLICT, NOT_FOUND
from bftledger.check.history import Dropped, Failed, Operation, Read, Wrote
from bftledger.check.linearizability import Verdict, check_history, search
from bftledger.check.models import KEY_VALUE
from tests.check.histories import cas, delete, disturbed, drawn, get, has_an_order, put

FIRST, SECOND, THIRD = Wrote(1), Wrote(2), Wrote(3)
CONFLICTS, MISSING = Failed(CONFLICT), Failed(NOT_FOUND)


def verdict(*history: Operation) -> Verdict:
    return search(history, KEY_VALUE).verdict


def test_a_history_without_operations_has_an_order() -> None:
    assert verdict() is Verdict.LINEARIZABLE
    assert check_history([]) == []


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put("x", (0, 1), FIRST), get((2, 3), "x", 1)], id="one after the other"),
        pytest.param([put("x", (0, 9), FIRST), get((1, 2), None), get((3, 4), "x", 1)], id="a write during two reads"),
        pytest.param(
            [put("x", (0, 9), SECOND), put("y", (0, 9), FIRST, by="b")], id="two writes at once, either first"
        ),
        pytest.param([put("x", (0, None)), get((5, 6), "x", 1)], id="a write without answer that happened"),
        pytest.param([put("x", (0, None)), get((5, 6), None)], id="a write without answer that did not"),
        pytest.param([put("x", (0, None)), get((5, 6), None), get((7, 8), "x", 1)], id="one that happened late"),
        pytest.param([put("x", (0, 5), FIRST), get((5, 6), None)], id="calls at the moment of a return overlap it"),
        pytest.param([cas(0, "x", (0, 1), FIRST), cas(0, "y", (2, 3), CONFLICTS)], id="a conflict that there was"),
        pytest.param([put("x", (0, 1), FIRST), delete((2, 3), Wrote(0)), put("y", (4, 5), FIRST)], id="versions anew"),
        pytest.param([delete((0, 1), MISSING), get((2, 3), None)], id="nothing to delete"),
        pytest.param([put("x", (0, 1), Dropped()), get((2, 3), None)], id="an expired write has no effect"),
        pytest.param([put("x", (0, 1), Failed(63)), get((2, 3), None)], id="nor one whose result had no room"),
    ],
)
def test_what_one_machine_could_have_answered_passes(history: list[Operation]) -> None:
    assert verdict(*history) is Verdict.LINEARIZABLE
    assert check_history(history) == []


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put("x", (0, 1), FIRST), get((2, 3), None)], id="a stale read"),
        pytest.param(
            [put("x", (0, 1), FIRST), put("y", (2, 3), SECOND), get((4, 5), "x", 1)], id="a read of what is overwritten"
        ),
        pytest.param([put("x", (0, 9), FIRST), put("y", (0, 9), FIRST, by="b")], id="a lost update"),
        pytest.param([cas(0, "x", (0, 9), FIRST), cas(0, "y", (0, 9), FIRST, by="b")], id="two who both set it first"),
        pytest.param(
            [put("x", (0, None)), get((2, 3), "x", 1), get((4, 5), None)], id="a write that was seen and then not"
        ),
        pytest.param(
            [put("x", (0, 9), FIRST), get((1, 2), "x", 1, by="b"), get((3, 4), None, by="c")],
            id="two readers during a write, the later sees less",
        ),
        pytest.param([put("x", (0, 1), FIRST), get((2, 3), "y", 1)], id="a value out of thin air"),
        pytest.param([put("x", (0, 1), FIRST), get((2, 3), "x", 2)], id="a wrong version"),
        pytest.param([cas(0, "x", (0, 1), CONFLICTS)], id="a conflict with nothing"),
        pytest.param([put("x", (0, 1), FIRST), delete((2, 3), MISSING)], id="what is there is not found"),
        pytest.param(
            [put("x", (0, 1), FIRST), delete((2, 3), Wrote(0)), get((4, 5), "x", 1)], id="the deleted is read"
        ),
        pytest.param([put("x", (0, 1), Dropped()), get((2, 3), "x", 1)], id="an expired write is seen"),
        pytest.param(
            [put("x", (0, 1), FIRST), delete((2, 3), Wrote(0)), put("y", (4, 5), SECOND)], id="a version after a delete"
        ),
        pytest.param([get((0, 1), "x", 1), put("x", (2, 3), FIRST)], id="a read of the future"),
        pytest.param([get((0, 1), "x", 1), put("x", (2, None))], id="a read of a future without answer"),
    ],
)
def test_what_no_machine_would_answer_is_found(history: list[Operation]) -> None:
    assert verdict(*history) is Verdict.VIOLATED
    assert len(check_history(history)) == 1


def test_the_violation_names_the_key_and_the_operation_without_a_place() -> None:
    (found,) = check_history([put("x", (0, 1), FIRST), get((2, 3), None, by="bob")])

    assert str(found) == (
        "linearizability: key k: no order explains what was answered; 1 operations have one, "
        "last a [0, 1] put k x: version 1; then not bob [2, 3] get k: nothing"
    )
    assert found.holders == ("bob",)
    assert found.is_certain


def test_keys_are_judged_one_by_one() -> None:
    right = [put("x", (0, 1), FIRST), get((2, 3), "x", 1)]
    wrong = [replace(operation, key=b"other") for operation in (put("x", (0, 1), FIRST), get((2, 3), None))]

    (found,) = check_history([*right, *wrong])
    assert "key other" in str(found)


def test_a_read_that_claims_no_freshness_may_be_old() -> None:
    stale = replace(get((2, 3), None), is_fresh=False)

    assert check_history([put("x", (0, 1), FIRST), stale]) == []


def test_a_search_that_ends_early_says_that_it_knows_nothing() -> None:
    clash = [put(f"v{i}", (0, 99), Wrote(1), by=f"client {i}") for i in range(9)]

    found = search(clash, KEY_VALUE, limit=5)
    assert found.verdict is Verdict.UNDECIDED
    assert found.explored == 5
    (violation,) = check_history([*clash, *(put(f"w{i}", (0, None)) for i in range(9))], limit=50)
    assert not violation.is_certain
    assert str(violation) == "linearizability: undecided: key k after 50 configurations"


def test_an_order_that_was_found_is_one() -> None:
    history = drawn("an order", 60, clients=5)

    order = search(history, KEY_VALUE).order
    state = None
    for operation in order:
        fits, state = KEY_VALUE.step(state, operation)
        assert fits
    assert {operation for operation in history if operation.is_answered} <= set(order)


def test_histories_of_a_linearizable_machine_pass() -> None:
    for seed in range(150):
        history = drawn(f"linearizable {seed}", 40, clients=4, keys=2)
        assert check_history(history) == [], seed


def test_the_search_agrees_with_trying_every_order() -> None:
    chance = Random("every order")
    verdicts: Counter[bool] = Counter()
    for seed in range(500):
        history = drawn(f"small {seed}", chance.randrange(2, 7))
        if chance.random() < 0.8:
            history = disturbed(history, chance)
        expected = has_an_order(history)
        assert (verdict(*history) is Verdict.LINEARIZABLE) == expected, [str(operation) for operation in history]
        verdicts[expected] += 1
    assert min(verdicts.values()) > 100, "both answers occur often"


def test_a_model_of_ones_own_is_enough() -> None:
    class Counting:
        """Hands out numbers, each once."""

        initial = 0

        def step(self, state: int, operation: Operation) -> tuple[bool, int]:
            return operation.result in (None, Wrote(state + 1)), state + 1

    def taken(at: tuple[int, int], number: int) -> Operation:
        return replace(get(at, None), kind="take", result=Wrote(number))

    assert check_history([taken((0, 5), 2), taken((0, 5), 1)], Counting()) == []
    assert check_history([taken((0, 5), 1), taken((0, 5), 1)], Counting()) != []
    assert check_history([taken((0, 1), 2), taken((2, 5), 1)], Counting()) != []


def test_many_operations_of_one_key_need_no_stack() -> None:
    history = [put("x", (3 * i, 3 * i + 1), Wrote(i + 1)) for i in range(3_000)]

    assert check_history(history) == []
    (found,) = check_history([*history, replace(get((9_999, 10_000), "x", 1), result=Read(b"x", 1))])
    assert "3000 operations have one" in str(found)
