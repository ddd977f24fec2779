"""What `latency.py` shows of a result: percentiles that the samples carry, one height for panels that are compared,
and no line where there was no receipt."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scripts import show

PERCENTILES = (10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100)


def row(samples: int, *, rate: float | None = None, scale: float = 1.0, **more: Any) -> dict[str, Any]:
    """The percentiles are `scale` milliseconds times what they are called."""
    times = {f"{percent:g}": round(scale * percent, 3) for percent in PERCENTILES}
    return {
        "clients": 16,
        "rate": rate,
        "tx_per_s": 300.0,
        "p50_ms": times["50"],
        "p99_ms": times["99"],
        "samples": samples,
        "failed": {},
        "view": 0,
        "lag_ms": 1.5,
        "kept_up": True,
        "percentiles_ms": times,
        "histogram_below_ms": {"128.0": samples},
        "timeline": [{"at_s": at / 10, "max_ms": 90.0 + at} for at in range(9)],
        **more,
    }


def shown(tmp_path: Path, *rows: dict[str, Any]) -> tuple[str, str]:
    """(The text, the page)."""
    result = {
        "bench": "latency",
        "when": "2026-01-01T00:00:00Z",
        "commit": None,
        "seed": 1,
        "calibrations": {},
        "ceiling_tx_per_s": 9_000.0,
        "machine": {"cores": 2},
        "versions": {"bftledger": "0"},
        "config": {"replicas": 4},
        "results": rows,
    }
    path, html = tmp_path / "result.json", tmp_path / "page.html"
    path.write_text(json.dumps(result))
    ended = show("latency.py", "--from", str(path), "--html", str(html))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, html.read_text()


@pytest.mark.parametrize(
    ("samples", "carried"),
    [(19, "- - -"), (20, "50 - -"), (999, "50 - -"), (1_000, "50 99 -"), (9_999, "50 99 -"), (10_000, "50 99 99.9")],
)
def test_percentiles_are_shown_as_far_as_ten_samples_lie_beyond(tmp_path: Path, samples: int, carried: str) -> None:
    text, page = shown(tmp_path, row(samples))

    line = text.splitlines()[1].split()
    p50, p99, p999, most = (line[at].removesuffix(".0") for at in (4, 6, 7, 8))
    assert f"{p50} {p99} {p999}" == carried
    assert most == "100"
    assert ('<td class="n">99.9</td>' in page) is ("99.9" in carried)
    assert ("99 of 100 after 99.0 ms" in page) is (" 99" in carried)


def test_text_and_page_say_how_many_samples_there_were_what_failed_and_the_view(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row(12_345, failed={"busy": 3}, view=2, kept_up=False))

    assert text.splitlines()[1].split()[-7:] == ["12345", "2", "not", "kept", "up", "3", "busy"]
    for value in ("12,345", "3 busy", "2"):
        assert re.search(f"<td[^>]*>{value}</td>", page), value


def test_panels_that_are_compared_have_one_range_of_milliseconds(tmp_path: Path) -> None:
    """The first picture: what is drawn as high in both is as much."""
    _, page = shown(tmp_path, row(20_000), row(20_000, rate=100.0, scale=20.0))

    left, right = re.findall(r"<g id=\"axes_\d\">.*?(?=<g id=\"axes_\d\">|$)", first_picture(page), re.DOTALL)
    assert ticks(left) == ticks(right)
    assert "2,000" in ticks(left)


def test_a_panel_in_which_nothing_is_drawn_has_the_range_of_the_other(tmp_path: Path) -> None:
    """Its own begins below 0, and there is no logarithm of that."""
    _, page = shown(tmp_path, row(9), row(20_000, rate=100.0, scale=20.0))
    _, alone = shown(tmp_path, row(20_000, scale=20.0))

    left, right = re.findall(r"<g id=\"axes_\d\">.*?(?=<g id=\"axes_\d\">|$)", first_picture(page), re.DOTALL)
    assert ticks(left) == ticks(right) == ticks(first_picture(alone))


def test_a_result_with_too_few_samples_for_any_percentile_is_shown_all_the_same(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row(9), row(9, rate=100.0), row(9, rate=200.0))

    assert text.splitlines()[1].split()[4:9] == ["-", "-", "-", "-", "100.0"]
    assert page.count("</figure>") == 3


def test_no_line_is_drawn_where_no_receipt_came(tmp_path: Path) -> None:
    whole = [{"at_s": at / 10, "max_ms": 90.0 + at} for at in range(9)]
    broken = [bucket | ({"max_ms": None} if bucket["at_s"] in (0.3, 0.4) else {}) for bucket in whole]

    def pieces(timeline: list[dict[str, Any]]) -> int:
        _, page = shown(tmp_path, row(20_000), row(20_000, rate=100.0, timeline=timeline))
        (line,) = re.findall(r'<path d="([^"]*)" clip-path[^>]*stroke: #2a6fdb', last_picture(page))
        return str(line).count("M")

    assert (pieces(whole), pieces(broken)) == (1, 2)


def first_picture(page: str) -> str:
    return page.partition("</figure>")[0]


def last_picture(page: str) -> str:
    return page.rpartition("</figure>")[0].rpartition("<figure>")[2]


def ticks(axes: str) -> list[str]:
    """The numbers beside an axis that goes up."""
    return re.findall(r">([\d,]+)</text>", axes.partition('id="matplotlib.axis_')[2])
