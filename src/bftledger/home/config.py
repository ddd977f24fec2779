"""The configuration of a running group, `configs/group.toml`: where its replicas are, and the protocol's numbers.

Nothing in it is needed to check a ledger or a receipt, and nothing in it is secret. Each replica's host has its own
copy; the addresses should agree, the numbers had better.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from bftledger.base.errors import OperatorError
from bftledger.base.genesis import MAX_REPLICAS, MIN_REPLICAS
from bftledger.base.transaction import ENVELOPE_BYTES, MAX_PAYLOAD_BYTES
from bftledger.home import tables
from bftledger.home.addresses import ReplicaAddresses, check_address, check_bind, duplicate
from bftledger.home.files import read_public, write_public
from bftledger.home.tables import Table
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_BATCH_COUNT, MAX_WINDOW, Settings

MAX_CONFIG_BYTES: Final = 256 * 1024
MIN_WINDOW: Final = 4


class Range(NamedTuple):
    """What a number of `Settings` may be, and what it means to who sets it."""

    low: int
    high: int
    meaning: str


RANGES: Final = {
    "window": Range(MIN_WINDOW, MAX_WINDOW, "sequence numbers in the log above the stable checkpoint"),
    "pipeline": Range(1, 256, "proposals of a primary that are not yet executed, at most"),
    "batch_count": Range(1, MAX_BATCH_COUNT, "transactions of a proposal, at most"),
    "batch_bytes": Range(1024, MAX_BATCH_BYTES, "bytes of them, at most (half of what a message may have)"),
    "batch_wait_ms": Range(0, 1000, "an incomplete batch waits so long while others are in flight"),
    "request_timeout_ms": Range(50, 600_000, "a pending transaction is waited for so long before a view change"),
    "timeout_cap_ms": Range(50, 3_600_000, "the timeout doubles for each view that fails, up to this"),
    "status_interval_ms": Range(10, 60_000, "what was lost is sent again so often while something is unfinished"),
    "idle_status_interval_ms": Range(10, 600_000, "how often replicas compare notes when nothing is"),
    "clock_skew_ms": Range(10, 3_600_000, "the primary's clock may be so far from a backup's"),
    "pool_count": Range(1, 1_000_000, "pending transactions that a replica holds, at most"),
    "pool_bytes": Range(MAX_PAYLOAD_BYTES + ENVELOPE_BYTES, 1 << 30, "bytes of them, at most"),
    "pool_share": Range(1, 1_000_000, "of them of one sender, at most"),
}
"""Every field of `Settings`, in its order."""


RELATIONS: Final = (
    ("pipeline", "at most", "window", "a proposal needs a place in the log"),
    ("batch_bytes", "at most", "pool_bytes", "a batch is taken from the pool"),
    ("batch_count", "at most", "pool_count", "a batch is taken from the pool"),
    ("pool_share", "at most", "pool_count", "it is a part of it"),
    ("batch_wait_ms", "below", "request_timeout_ms", "or waiting for a batch costs a view"),
    ("status_interval_ms", "below", "request_timeout_ms", "or one lost message costs a view"),
    ("status_interval_ms", "at most", "idle_status_interval_ms", "there is more to say when something is unfinished"),
    ("request_timeout_ms", "at most", "timeout_cap_ms", "the cap is where doubling it ends"),
)
"""Which number of `Settings` must be below or at most which other, and why."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """`replicas`: addresses in the order of the ids. `protocol`: what the protocol core runs with."""

    replicas: tuple[ReplicaAddresses, ...]
    protocol: Settings


def read_config(path: Path) -> Config:
    """The group's configuration. Raises `OperatorError` with one line that names the file, the key and the range."""
    document = tables.parse(path, read_public(path, MAX_CONFIG_BYTES))
    replicas = read_replicas(document)
    if not replicas:
        raise OperatorError(f"{path}: names no replica: it should have one [[replica]] for each of the group")
    config = Config(replicas=replicas, protocol=read_protocol(document, len(replicas)))
    document.close()
    return config


def write_config(path: Path, config: Config) -> None:
    """Writes a commented file that `read_config` reads. Raises `OperatorError`, also if it exists."""
    lines = [
        "# Where the replicas of this group are, and the protocol's numbers. Every host has a copy of this file.",
        "# Edit it while the replicas are stopped; every start checks it.",
    ]
    for i, replica in enumerate(config.replicas):
        lines += ["", "[[replica]]", f"id = {i}", f'peer = "{replica.peer}"', f'client = "{replica.client}"']
        if replica.peer_bind != replica.peer:
            lines.append(f'peer_bind = "{replica.peer_bind}"')
        if replica.client_bind != replica.client:
            lines.append(f'client_bind = "{replica.client_bind}"')
    lines += ["", "[protocol]"]
    values = asdict(config.protocol)
    for key, allowed in RANGES.items():
        lines += [f"# {allowed.meaning}; {allowed.low} to {allowed.high}", f"{key} = {values[key]}"]
    write_public(path, ("\n".join(lines) + "\n").encode())


def read_protocol(document: Table, replicas: int) -> Settings:
    """The `[protocol]` table, defaults where it is silent.

    Each number is in its range, none against another, and the window not too large for so many replicas.
    """
    table = document.table("protocol", required=False)
    defaults: dict[str, Any] = asdict(Settings())
    values: dict[str, Any] = {name: table.integer(name, *RANGES[name][:2], defaults[name]) for name in RANGES}
    table.close()
    settings = Settings(**values)
    _check_relations(table, settings)
    if settings.window > (largest := largest_window(max(replicas, MIN_REPLICAS))):
        why = f"with {replicas} replicas it should be at most {largest}: a NEW-VIEW has to fit a message"
        table.refuse("window", settings.window, why)
    return settings


def _check_relations(table: Table, settings: Settings) -> None:
    values = asdict(settings)
    for small, relation, large, why in RELATIONS:
        if values[small] > values[large] or (relation == "below" and values[small] == values[large]):
            table.refuse(small, values[small], f"it should be {relation} {large}, which is {values[large]}: {why}")


def read_replicas(document: Table) -> tuple[ReplicaAddresses, ...]:
    """The `[[replica]]` tables, none or all of the group. Raises `OperatorError`, also if two would meet."""
    replicas = []
    for i, table in enumerate(document.tables("replica")):
        number = table.integer("id", 0, MAX_REPLICAS - 1)
        if number != i:
            table.refuse("id", number, f"the replicas should be in the order of their ids, and {i} is next")
        peer = table.parsed("peer", check_address, "the address for its peers")
        client = table.parsed("client", check_address, "the address for clients")
        replicas.append(
            ReplicaAddresses(
                peer=peer,
                client=client,
                peer_bind=_bind(table, "peer", peer),
                client_bind=_bind(table, "client", client),
            )
        )
        table.close()
    if (address := duplicate(tuple(replicas))) is not None:
        raise OperatorError(f"{document.path}: two sockets have the address {address}: each needs its own")
    return tuple(replicas)


def _bind(table: Table, side: str, reached_at: str) -> str:
    key = f"{side}_bind"
    if key in table:
        return table.parsed(key, check_bind, "the address to listen on")
    table.known(key)
    try:
        return check_bind(reached_at)
    except ValueError as error:
        table.refuse(side, reached_at, f"{error}, under {key}")
