"""A share of the transactions goes by another replica than the primary: so clients and backups see what it delays."""

from collections import Counter
from random import Random

from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, PublicKey, ReplicaId, View
from bftledger.ledger.asking import Route

GROUP = Group(Digest(bytes(32)), tuple(PublicKey(bytes([i]) * 32) for i in range(4)))


class Client:
    """Gives one transaction after the other to whomever its route says; `takes`: what each replica needs, in ms."""

    def __init__(self, *takes: int, seed: int = 0) -> None:
        self.route = Route(GROUP, Random(f"detours {seed}").random)
        self.route.refreshing()  # as a session does at once
        self.takes = list(takes)
        self.now = 0
        self.asked_for_view: list[int] = []

    def submit(self, times: int) -> Counter[int]:
        """Who was asked first how often."""
        asked: Counter[int] = Counter()
        for _ in range(times):
            first = self.route.first()
            asked[first] += 1
            self.now += self.takes[first]
            self.route.proved(first)
            self.route.answered(first, self.takes[first], Millis(self.now))
            if self.route.refresh_at is not None and self.now >= self.route.refresh_at:
                self.asked_for_view.append(self.now)
                self.route.refreshing()
        return asked


def test_one_in_sixteen_goes_by_one_of_the_other_replicas() -> None:
    asked = Client(3, 4, 4, 4).submit(16_000)

    assert 14_800 < asked[0] < 15_200
    assert all(280 < asked[i] < 400 for i in (1, 2, 3))


def test_without_chance_every_transaction_goes_to_the_primary() -> None:
    route = Route(GROUP)
    for _ in range(100):
        assert route.first() == 0
        route.answered(ReplicaId(0), 900, Millis(0))


def test_the_share_grows_with_the_time_that_answers_take_up_to_a_half() -> None:
    """Who waits long does not notice a hop more, and backups see sooner how slow the primary is."""
    slow, slowest = Client(250, 250, 250, 250), Client(5_000, 5_000, 5_000, 5_000)
    slow.submit(100)
    slowest.submit(100)

    assert 2_800 < slow.submit(4_000)[0] < 3_200
    assert 1_850 < slowest.submit(4_000)[0] < 2_150


def test_a_replica_that_is_clearly_faster_is_asked_first_from_then_on() -> None:
    client = Client(100, 6, 100, 100)
    client.submit(500)

    assert client.route.preferred == 1
    assert client.submit(400)[1] > 350


def test_a_replica_that_is_hardly_faster_is_not() -> None:
    """Else clients would go to and fro with every whim of the network."""
    client = Client(8, 7, 9, 9)
    client.submit(2_000)
    quick = Client(3, 1, 3, 3)
    quick.submit(2_000)

    assert client.route.preferred == quick.route.preferred == 0


def test_who_was_chosen_for_being_faster_is_left_when_it_is_not_any_more() -> None:
    client = Client(100, 6, 100, 100)
    client.submit(500)
    client.takes = [5, 300, 300, 300]
    client.submit(500)

    assert client.route.preferred == 0


def test_what_all_say_of_their_view_does_not_undo_the_choice_until_it_is_another_view() -> None:
    client = Client(100, 6, 100, 100)
    client.submit(500)
    for i in range(4):
        client.route.status(ReplicaId(i), View(0))
    chosen = client.route.preferred
    for i in range(4):
        client.route.status(ReplicaId(i), View(2))

    assert (chosen, client.route.preferred) == (1, 2)


def test_all_are_asked_for_the_view_when_another_replica_is_faster_but_not_often() -> None:
    """Perhaps it is the primary now. A client that gets its answers has no other reason to look."""
    usual, moved = Client(3, 4, 4, 4), Client(4, 3, 5, 5)
    usual.submit(5_000)
    moved.submit(5_000)

    assert usual.asked_for_view == []
    assert 1 <= len(moved.asked_for_view) <= moved.now // 5_000 + 1


def test_who_failed_is_not_tried_until_it_is_there_again() -> None:
    client = Client(3, 4, 4, 4)
    client.route.failed(ReplicaId(2), Millis(0))
    without = client.submit(2_000)
    client.route.proved(ReplicaId(2))

    assert without[2] == 0
    assert client.submit(2_000)[2] > 0


def test_the_same_chance_gives_the_same_routes() -> None:
    assert Client(3, 4, 4, 4, seed=5).submit(500) == Client(3, 4, 4, 4, seed=5).submit(500)
