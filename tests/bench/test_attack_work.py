"""What replicas use while they are attacked."""

from bftledger.base.ids import ReplicaId
from bftledger.bench.attack_work import Usage, effort, protocol_messages_per_s, work
from tests.bench.attack_runs import a_run

ALL = [ReplicaId(i) for i in range(3)]
TRAITOR = [ReplicaId(0)]
DONE = {"clean": 100, "attacked": 50, "after": 0}


def usages(*cpu_s: dict[int, float]) -> list[Usage]:
    """At seconds 0, 2, 6 and 8; memory and disk grow by 1 and 2 MB from each to the next."""
    return [
        Usage(
            at_s=at_s,
            cpu_s={ReplicaId(i): used for i, used in some.items()},
            memory_mb={ReplicaId(i): 50.0 + edge for i in some},
            disk_mb={ReplicaId(i): 2.0 * edge for i in some},
        )
        for edge, (at_s, some) in enumerate(zip((0.0, 2.0, 6.0, 8.0), cpu_s, strict=True))
    ]


USAGES = usages({0: 1, 1: 1, 2: 1}, {0: 2, 1: 1.4, 2: 1.6}, {0: 6, 1: 3.4, 2: 3.6}, {0: 7, 1: 4, 2: 4})


def test_each_replica_has_its_share_of_a_core_and_what_a_transaction_took() -> None:
    found = work(USAGES, ALL, TRAITOR, DONE)

    assert [(one["replica"], one["is_traitor"]) for one in found] == [(0, True), (1, False), (2, False)]
    assert found[1]["clean"] == {"cpu_share": 0.2, "cpu_us_per_tx": 4_000.0}
    assert found[1]["attacked"] == {"cpu_share": 0.5, "cpu_us_per_tx": 40_000.0}
    assert found[1]["after"] == {"cpu_share": 0.3, "cpu_us_per_tx": None}, "no transaction took it"
    assert (found[1]["memory_mb"], found[1]["disk_mb"]) == ([50.0, 51.0, 52.0, 53.0], [0.0, 2.0, 4.0, 6.0])


def test_the_effort_of_honest_replicas_is_apart_from_the_traitors() -> None:
    row = {"work": work(USAGES, ALL, TRAITOR, DONE)}
    honest, liars = effort(row, of_traitors=False), effort(row, of_traitors=True)

    assert honest is not None
    assert liars is not None
    assert (honest.cpu_clean, honest.cpu_attacked, honest.memory_mb, honest.disk_mb) == (0.25, 0.5, 1.0, 2.0)
    assert (liars.cpu_clean, liars.cpu_attacked) == (0.5, 1.0)


def test_of_who_ended_nothing_is_known_from_then_on() -> None:
    gone = usages({0: 1, 1: 1, 2: 1}, {0: 2, 1: 1.4, 2: 1.6}, {0: 6, 2: 3.6}, {0: 7, 2: 4})
    found = work(gone, ALL, TRAITOR, DONE)
    honest = effort({"work": found}, of_traitors=False)

    assert found[1]["attacked"]["cpu_share"] is None
    assert found[1]["memory_mb"] == [50.0, 51.0, None, None]
    assert honest is not None
    assert honest.cpu_attacked == 0.5


def test_old_rows_know_of_no_work() -> None:
    row = a_run()
    del row["work"]

    assert effort(row, of_traitors=False) is None


def test_the_protocol_needs_three_messages_from_each_to_each_other_for_a_block() -> None:
    """docs/protocol.md: 3n(n-1), 36 with four replicas."""
    assert protocol_messages_per_s(blocks=200, seconds=2.0, n=4) == 3_600.0


def test_a_row_has_it() -> None:
    traitor, honest = a_run()["work"][:2]

    assert (traitor["is_traitor"], traitor["attacked"]["cpu_share"]) == (True, 1.0)
    assert (honest["attacked"]["cpu_share"], honest["clean"]["cpu_us_per_tx"]) == (0.1, 1_000.0)
