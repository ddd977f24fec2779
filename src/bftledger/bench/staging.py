"""What the runs of a command have in common that measures a group before, while and after somebody misbehaves."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bftledger.base.errors import OperatorError
from bftledger.bench.group import made_home
from bftledger.bench.measured import Load
from bftledger.home.home import Home


@dataclass(frozen=True, kw_only=True)
class Staging:
    """The group, the honest clients' load, and how long the parts of a run are.

    `parts_s`: seconds of each, the first of which is clean. `rate`: so many transactions are due per second, in an open
    loop; None for a closed one. `bucket_s`: seconds of a bucket of the timeline. `keep`: where the homes of the runs
    stay, if they do.
    """

    replicas: int
    clients: int
    size: int
    connections: int
    processes: int
    warmup_s: float
    timeout_s: float
    parts_s: tuple[float, ...]
    bucket_s: float
    seed: int
    keep: Path | None
    rate: float | None = None

    def load(self, receipts: Path) -> Load:
        """The clients' work, from the beginning of the clean part on; receipts are left in that directory."""
        return Load(
            clients=self.clients,
            rate=self.rate,
            seconds=sum(self.parts_s),
            size=self.size,
            warmup_s=self.warmup_s,
            processes=self.processes,
            connections=self.connections,
            seed=self.seed,
            timeout_s=self.timeout_s,
            receipts=receipts,
        )

    @contextlib.contextmanager
    def home(self, name: str) -> Iterator[Home]:
        """A new home, which stays as `keep`/NAME if it is to stay. Raises `OperatorError` if there is something."""
        path = None if self.keep is None else self.keep / name
        if path is not None and path.exists():
            raise OperatorError(f"{path} exists: remove it, or name another directory with --keep")
        with made_home(path, replicas=self.replicas, keep=False) as home:
            yield home
