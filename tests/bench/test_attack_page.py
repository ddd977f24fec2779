"""What is shown of attacks: the page, and the lines for a terminal."""

from bftledger.adversary.catalogue import names
from bftledger.bench.attack_lines import is_good, text
from bftledger.bench.attack_page import page
from bftledger.bench.attack_repeats import combined, runs_of
from tests.bench.attack_runs import a_result


def test_what_a_run_says_cannot_break_out_of_the_page() -> None:
    document = a_result()
    hostile = "</script><script>alert(1)</script>"
    row = document["results"][0]
    row["does"] = row["stopped_by"] = row["command"] = row["events"][0]["what"] = row["events"][0]["flag"] = hostile
    row["evidence"][0]["what"] = row["verdict"]["agreement"]["text"] = document["config"]["load"] = hostile

    assert hostile not in page(document)
    assert page(document).count("</script>") == page(a_result()).count("</script>")


def test_many_rows_are_a_table_with_a_dot_each() -> None:
    document = a_result()
    (row,) = document["results"]
    document["results"] = [row | {"behaviour": name, "ratio": i / len(names())} for i, name in enumerate(names())]
    shown = page(document)

    assert shown.count('<tbody class="attack') == 1 + len(names()), "the control has no dot"
    assert shown.count("<circle ") == len(names())
    assert all(f'id="{name}"' in shown for name in names())


def test_honest_runs_stand_on_top_and_are_the_noise() -> None:
    document = a_result()
    document["controls"][0]["ratios"] = {"median": 0.97, "least": 0.96, "greatest": 1.08}
    shown = page(document)

    assert shown.index('control" id="honest"') < shown.index('attack" id="equivocate"')
    assert "Honest runs keep 96–108%: that is the noise." in shown
    assert '<rect class="noise" ' in shown
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
    row |= {"ratio_until_replaced": 0.123, "replaced_s": 1.5, "ratio_replaced": 0.876}

    assert '<td class="until">12%<small>for 1.50 s</small><small>then 88%</small></td>' in page(document)
    assert " 12%   1.50 s " in text(document)


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
