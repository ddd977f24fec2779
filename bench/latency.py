"""The distribution of latencies at a few loads: from before a transaction is signed until its receipt is verified."""

import math
import sys
from typing import Any

from load import Measured
from measure import parser, run

PERCENTILES = (10, 50, 90, 95, 99, 99.9, 100)
STEPS_PER_DOUBLING = 2
BAR = 48
EXAMPLES = """\
  python bench/latency.py
  python bench/latency.py --clients 1 --seconds 20
  python bench/latency.py --clients 1,64 --json > result.json"""


def histogram(measured: Measured) -> dict[float, int]:
    """How many latencies were below each bound (in milliseconds) and not below the one before it."""
    counts: dict[int, int] = {}
    for latency in measured.latencies_ms:
        step = math.floor(math.log2(max(latency, 0.001)) * STEPS_PER_DOUBLING)
        counts[step] = counts.get(step, 0) + 1
    return {
        round(2 ** ((step + 1) / STEPS_PER_DOUBLING), 3): counts.get(step, 0)
        for step in range(min(counts), max(counts) + 1)
    }


def extend(measured: Measured) -> dict[str, Any]:
    """What the JSON rows have besides."""
    return {
        "percentiles_ms": {f"{percent:g}": round(measured.percentile_ms(percent), 3) for percent in PERCENTILES},
        "histogram_below_ms": histogram(measured),
    }


def report(measured: list[Measured]) -> None:
    """A line of percentiles per load, then a histogram of each."""
    print(
        f"{'clients':>7} {'size':>5} {'tx/s':>7}"
        + "".join(f" {f'p{percent:g}':>7}" for percent in PERCENTILES)
        + "  ms"
    )
    for one in measured:
        times = "".join(f" {one.percentile_ms(percent):>7.1f}" for percent in PERCENTILES)
        print(f"{one.load.clients:>7} {one.load.size:>5} {one.tx_per_s:>7.0f}{times}")
    for one in measured:
        print(f"\n{one.load.clients} clients, {len(one.latencies_ms)} transactions")
        counts = histogram(one)
        for bound, count in counts.items():
            bar = "█" * round(count / max(counts.values()) * BAR)
            print(f"  below {bound:>8.1f} ms {count / len(one.latencies_ms):>6.1%} {bar}")


if __name__ == "__main__":
    options = parser(__doc__ or "", EXAMPLES, clients="1,16,64").parse_args()
    sys.exit(run(options, report, extend))
