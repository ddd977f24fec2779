"""What is shown of attacks: the page, and the lines for a terminal."""

from typing import Any

from bftledger.adversary.catalogue import names
from bftledger.bench.attack_lines import is_good, text
from bftledger.bench.attack_page import page
from bftledger.bench.attack_plan import parse
from bftledger.bench.attack_repeats import Row, combined, runs_of
from tests.bench.attack_runs import BEGUN, a_curve, a_result, a_run


def test_what_a_run_says_cannot_break_out_of_the_page() -> None:
    document = a_result()
    hostile = "</script><script>alert(1)</script>"
    row = document["results"][0]
    row["does"] = row["stopped_by"] = row["command"] = row["events"][0]["what"] = row["events"][0]["flag"] = hostile
    row["evidence"][0]["what"] = row["verdict"]["agreement"]["text"] = document["config"]["load"] = hostile

    assert hostile not in page(document)
    assert page(document).count("</script>") == page(a_result()).count("</script>")


def test_many_rows_are_a_table_with_a_dot_each() -> None:
    """In one picture those that were replaced, in the other those that were not; the control has none."""
    document = a_result()
    replaced, stayed = (a_run(*views) for views in ([(BEGUN + 2.0, 1)], []))
    document["results"] = [(stayed if i % 3 else replaced) | {"behaviour": name} for i, name in enumerate(names())]
    until, throughout = page(document).partition("</figure>")[::2]
    count = len(names()[::3])

    assert (until.count("<circle "), throughout.count("<circle ")) == (count, len(names()) - count)
    assert throughout.count('<tbody class="attack') == 1 + len(names())
    assert all(f'id="{name}"' in throughout for name in names())


def until_replaced(row: Row, span_s: float, tx_per_s: float) -> dict[str, Any]:
    """As if it had taken so long until the traitor was replaced, with so much done until then."""
    part = row["phases"]["until_replaced"] | {"span_s": [0.0, span_s], "tx_per_s": tx_per_s}
    return {**row, "phases": row["phases"] | {"until_replaced": part}}


def test_the_table_begins_with_what_costs_most() -> None:
    document = a_result()
    (row,) = document["results"]
    document["results"] = [
        until_replaced(row, span_s, rate) | {"behaviour": name}
        for name, span_s, rate in [("little", 2.0, 80.0), ("most", 2.0, 0.0), ("short", 0.5, 0.0)]
    ]
    shown, lines = page(document), text(document).splitlines()
    order = ["most", "short", "little"]

    assert sorted(order, key=lambda name: shown.index(f'" id="{name}">\n')) == order
    assert [line.split()[0] for line in lines[2:5]] == order


def test_the_story_says_what_was_kept_until_the_liar_was_replaced_and_then_the_mean() -> None:
    document = a_result()
    (row,) = document["results"]
    document["results"] = [row, a_run(attack=parse("flood", faulty=1))]

    assert (
        "Under 1 of them it keeps less than 40% of its throughput until the liar is replaced, after 2.00 s at the "
        "latest; the dearest of those that are, equivocate, costs 1.80 s of it, once. In the mean of the whole attack, "
        "which says as much of its 8 s, it keeps 62% in the median and 62% at worst, under equivocate."
    ) in page(document)


def test_who_was_given_an_occasion_is_no_headline() -> None:
    document = a_result()
    (row,) = document["results"]
    given = a_run((BEGUN + 2.0, 2), attack=parse("wrong-new-view", faulty=1))
    document["results"] = [until_replaced(row, 1.0, 0.0), given]

    assert "after 1.00 s at the latest; the dearest of those that are, equivocate, costs 1.00 s of it" in page(document)


def test_stretches_without_a_receipt_are_drawn_as_such() -> None:
    document = a_result()
    document["results"][0]["gaps"] = [[0.5, 1.75]]

    assert '"gaps":[[0.5,1.75]]' in page(document)


def test_what_replicas_used_is_shown_by_replica() -> None:
    shown = page(a_result())

    assert '<td class="number">10%<small>of 10%</small><small>traitor 100%</small><small>+8.0 MB</small></td>' in shown
    assert '<th scope="row">replica 0, traitor</th><td>100%</td><td>100%</td><td>100%</td><td>10,000</td>' in shown
    assert "<td>54.0 → 62.0</td><td>10.0 → 26.0</td>" in shown


def test_a_sweep_has_a_section_with_a_dot_for_each_strength() -> None:
    curve = a_curve(kept=(10, 20, 30), lost=(40, 90))
    curve["points"][2]["ratio"] = 0.12
    document = a_result() | {"sweep": [curve]}
    shown = page(document)
    section = shown[shown.index('<section class="sweeps"') : shown.index("<main>")]

    assert section.count("<circle ") == 3 * 5, "kept, latency, and until it was replaced"
    assert section.count('class="stayed"') == 3 * 3
    assert "from 175 ms if these took no time to 215 ms" in section
    assert "Here it kept its view with 150 ms and was replaced with 200 ms." in section
    assert "(slow:30) is not replaced, and leaves 12% for as long as it likes" in shown
    assert all(f'" id="slow:{strength}">' in shown for strength in (10, 20, 30, 40, 90))
    assert "here it kept its view with 150 ms and was replaced with 200 ms:" in text(document)


def test_a_page_may_be_of_a_sweep_alone() -> None:
    shown = page(a_result() | {"results": [], "controls": [], "sweep": [a_curve(kept=(10,), lost=(90,))]})

    assert "How strong an attack has to be" in shown
    assert "2 of 2" in shown


def test_honest_runs_stand_on_top_and_are_the_noise() -> None:
    document = a_result()
    document["controls"][0]["ratios"] = {"median": 0.97, "least": 0.96, "greatest": 1.08}
    document["results"].append(a_run(attack=parse("flood", faulty=1)))
    shown = page(document)

    assert shown.index('control" id="honest"') < shown.index('down" id="equivocate"')
    assert "Honest runs keep 96–108%: that is the noise." in shown
    assert '<rect class="noise" ' in shown
    assert shown.count("honest <span>96–108%</span>") == 2
    assert "noise: 1 honest run kept 96–108%" in text(document)


def test_runs_that_were_hardly_attacks_are_marked() -> None:
    document = a_result()
    (row,) = document["results"]
    assert "few occasions</span>" not in page(document)
    row["few_occasions"] = True
    assert "few occasions</span>" in page(document)
    assert "few occasions" in text(document)
    row |= {"few_occasions": False, "deviations": {}}

    assert "no occasion</span>" in page(document)


def test_the_range_of_several_runs_is_shown_and_each_of_them() -> None:
    document = a_result()
    (row,) = document["results"]
    (one,) = runs_of(row)
    document["results"] = [combined([one | {"ratio": ratio} for ratio in (0.5, 0.61, 0.94)])]
    shown = page(document)

    assert "50–94%</small>" in shown
    assert [cell in shown for cell in ("1</th>", "2, shown</th>", "3</th>")] == [True] * 3
    assert "50–94%" in text(document)


def test_what_was_kept_until_the_traitor_was_replaced_is_shown() -> None:
    document = a_result()
    (row,) = document["results"]
    row |= {"replaced_s": 1.5, "ratio_replaced": 0.876}
    row["phases"]["until_replaced"] |= {"span_s": [0.0, 1.5], "tx_per_s": 12.3}

    assert '<td class="until">12%<small>for 1.50 s</small><small>then 88%</small></td>' in page(document)
    assert '<td class="number cost">1.32 s<small>once</small></td>' in page(document)
    assert "  1.32 s   12%   1.50 s " in text(document)


def test_a_misplaced_traitor_is_said_not_to_be_measured() -> None:
    document = a_result()
    document["not_measured"] = [{"behaviour": "slow", "error": "it changed its primary", "misplaced": True}]

    assert "slow could not be measured (misplaced): it changed its primary" in page(document)
    assert "  slow: not measured, misplaced: it changed its primary" in text(document)
    assert not is_good(document)


def test_what_is_wrong_in_a_control_is_wrong() -> None:
    document = a_result()
    assert is_good(document)
    document["controls"][0]["ok"] = False

    assert not is_good(document)


def test_a_result_without_controls_and_rounds_can_still_be_shown() -> None:
    """Such as were measured before there were any."""
    document = a_result()
    (row,) = document["results"]
    for name in ("ratios", "runs", "shown", "slowest_ms", "bound_ms", "ratio_until_replaced", "few_occasions"):
        del row[name]
    del document["controls"], row["deviations_per_s"], row["phases"]["until_replaced"]

    assert 'id="equivocate"' in page(document)
    assert text(document).splitlines()[1].startswith("equivocate ")


def test_a_page_of_a_busy_machine_says_so_above_all_figures() -> None:
    document = a_result()
    quiet = page(document)
    document["machine"]["busy_before"] = 0.4
    head, notice, _ = page(document).partition('<p class="notice">Right before, 40% of the cores were busy')

    assert notice
    assert "<svg" not in head
    assert notice not in quiet
