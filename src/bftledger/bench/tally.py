"""What clients were told in all loads of a run, and the verdict on it when the run is over."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bftledger.bench.attack_verdict import Verdict, judge
from bftledger.bench.measured import Load, Measured
from bftledger.home.home import Home


class Tally:
    """Of one group. Receipts are kept in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loads: list[Measured] = []

    def keeping(self, load: Load) -> Load:
        """The same load, whose receipts are kept, and whose clients' transactions no load before it had."""
        number = len(self._loads)
        receipts = self._directory / str(number)
        receipts.mkdir()
        return replace(load, receipts=receipts, seed=load.seed + number)

    def add(self, measured: Measured) -> None:
        """What came of a load that was made by `keeping`."""
        self._loads.append(measured)

    def verdict(self, home: Home) -> Verdict:
        """On all loads; the replicas, all of them honest, do not run any more. Raises `BftLedgerError`."""
        together = self._directory / "all"
        together.mkdir()
        for measured in self._loads:
            assert measured.load.receipts is not None, "they are kept"
            for path in measured.load.receipts.iterdir():
                path.rename(together / f"{measured.load.receipts.name}-{path.name}")
        return judge(home, home.genesis.group.replicas, together, joined(self._loads))


def joined(loads: Sequence[Measured]) -> Measured:
    """All transactions of several loads as those of one, which began with the first and has no window."""
    pairs = sorted((done, begun) for one in loads for done, begun in zip(one.done, one.begun, strict=True))
    return replace(
        loads[0],
        begun=array("d", (begun for _, begun in pairs)),
        done=array("d", (done for done, _ in pairs)),
        failures=sorted(failure for one in loads for failure in one.failures),
    )
