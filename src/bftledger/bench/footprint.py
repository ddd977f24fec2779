"""What a replica takes of its host: memory by /proc, and bytes on disk. MB are millions of bytes."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bftledger.storage.files import wal_of

_KIB: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of one process, in MB; None where the kernel does not say.

    `rss`: what it holds. `peak_rss`: the most that it ever held. `pss`: the same with what it shares, such as the
    interpreter's code, divided by how many share it. `uss`: what is its alone, and would be free without it.
    """

    rss: float | None
    peak_rss: float | None
    pss: float | None
    uss: float | None

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Of the process with this id, now (proc(5): status and smaps_rollup)."""
        status, rollup = _lines(Path(f"/proc/{pid}/status")), _lines(Path(f"/proc/{pid}/smaps_rollup"))
        private = [rollup[name] for name in ("Private_Clean", "Private_Dirty") if name in rollup]
        return cls(rss=status.get("VmRSS"), peak_rss=status.get("VmHWM"), pss=rollup.get("Pss"), uss=_mb(private))


def store_mb(ledger: Path) -> tuple[float, float]:
    """(The database file, its write-ahead log)."""
    return _file_mb(ledger), _file_mb(wal_of(ledger))


def _file_mb(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return round(path.stat().st_size / 1e6, 3)
    return 0.0


def _lines(path: Path) -> dict[str, float]:
    """The lines that give a number of kB (which are KiB), in MB."""
    found = {}
    with contextlib.suppress(OSError):  # it has ended, or is somebody else's
        for line in path.read_text().splitlines():
            match line.split():
                case [name, number, "kB"]:
                    found[name.removesuffix(":")] = round(int(number) * _KIB / 1e6, 3)
    return found


def _mb(parts: list[float]) -> float | None:
    return round(sum(parts), 3) if parts else None
