"""A run as text: who said what to whom and when, in words that stay readable in a diff."""

from bftledger.pbft import wire
from bftledger.sim.describe import Describer
from tests.builders import GENESIS
from tests.cluster import Cluster


class Transcript:
    """Writes down what happens in a cluster. Receivers of the same message in the same step share a line."""

    def __init__(self, cluster: Cluster) -> None:
        self.lines: list[str] = []
        self._describer = Describer(GENESIS, bytes.decode)
        self._cluster = cluster
        self._last: tuple[int, int, bytes] | None = None
        cluster.log = self.note
        cluster.tap = self._tap

    def chapter(self, title: str) -> None:
        """A heading."""
        self.lines += ["", f"== {title}"]
        self._last = None

    def note(self, line: str) -> None:
        """Something that is no message."""
        self._write(line)
        self._last = None

    def _tap(self, source: int, to: int, frame: bytes) -> bool:
        key = (self._cluster.now, source, frame)
        if key == self._last:
            self.lines[-1] += f",{to}"
        else:
            message = wire.decode(frame, GENESIS)
            self._write(f"{source}: {self._describer.describe(message)} -> {to}")
        self._last = key
        return True

    def _write(self, line: str) -> None:
        self.lines.append(f"{self._cluster.now:6} {line}")

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines).strip() + "\n"
