"""Who waits for a height: the lowest first, and what is far away costs nothing."""

from random import Random

import pytest

from bftledger.base.ids import Seq
from bftledger.engine.heights import ByHeight


def test_the_lowest_is_taken_first_and_of_one_height_the_oldest() -> None:
    waiting: ByHeight[str] = ByHeight()
    for height, item in ((7, "a"), (3, "b"), (7, "c"), (1 << 62, "d"), (3, "e")):
        waiting.put(Seq(height), item)

    assert (waiting.lowest, waiting.take_lowest()) == (3, ["b", "e"])
    assert (waiting.lowest, waiting.take_lowest()) == (7, ["a", "c"])
    assert (waiting.lowest, len(waiting)) == (1 << 62, 1)


@pytest.mark.parametrize("seed", range(5))
def test_it_holds_what_a_plain_set_holds(seed: int) -> None:
    """And keeps no height that nobody waits for."""
    chance = Random(f"heights {seed}")
    waiting: ByHeight[int] = ByHeight()
    model: set[tuple[int, int]] = set()
    for item in range(300):
        deed = chance.random()
        if deed < 0.5 or not model:
            model.add((height := chance.randint(1, 12), item))
            waiting.put(Seq(height), item)
        elif deed < 0.8:
            model.remove(gone := chance.choice(sorted(model)))
            waiting.drop(Seq(gone[0]), gone[1])
        else:
            lowest = min(height for height, _ in model)
            assert waiting.take_lowest() == sorted(item for height, item in model if height == lowest)
            model = {each for each in model if each[0] != lowest}
        assert len(waiting) == len(model)
        assert waiting.lowest == min((height for height, _ in model), default=None)
        assert dict(waiting.counts()) == {h: sum(h == height for height, _ in model) for h, _ in model}
