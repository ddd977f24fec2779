"""Transactions per second of a group of real replica processes, for more and more closed-loop clients."""

import sys

from load import Measured
from measure import parser, run

EXAMPLES = """\
  python bench/throughput.py
  python bench/throughput.py --clients 64 --seconds 20 --json > result.json
  python bench/throughput.py --clients 256 --profile 0    where the primary's time goes"""


def report(measured: list[Measured]) -> None:
    """One line per load; `cpu µs/tx` is the processor time that a transaction costs, by process."""
    print(f"{'':43}  cpu µs/tx")
    print(f"{'clients':>7} {'size':>5} {'tx/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'tx/blk':>6}  {'clients':>7}  replicas")
    for row in (one.row() for one in measured):
        replicas = " ".join(f"{cpu:5.0f}" for cpu in row["replicas_cpu_us_per_tx"])
        print(
            f"{row['clients']:>7} {row['size']:>5} {row['tx_per_s']:>7.0f} {row['p50_ms']:>7.1f} {row['p99_ms']:>7.1f} "
            f"{row['tx_per_block']:>6.1f}  {row['clients_cpu_us_per_tx']:>7.0f}  {replicas}"
        )


if __name__ == "__main__":
    options = parser(__doc__ or "", EXAMPLES, clients="1,16,64,256").parse_args()
    sys.exit(run(options, report, lambda _: {}))
