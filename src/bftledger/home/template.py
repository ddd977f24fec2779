"""What `init` makes a group from: a short TOML file such as those of `configs/`, or nothing but defaults.

Its facts go into the genesis and can never change; its addresses and the protocol's numbers go into the group's
configuration and can.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.genesis import (
    MAX_LIFETIME_MS,
    MAX_REPLICAS,
    MAX_SKEW_MS,
    MIN_REPLICAS,
)
from bftledger.base.transaction import MAX_PAYLOAD_BYTES
from bftledger.home import tables
from bftledger.home.addresses import MAX_PORT, ReplicaAddresses
from bftledger.home.config import MAX_CONFIG_BYTES, read_protocol, read_replicas
from bftledger.home.files import read_public
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.settings import Settings

DEFAULT_APP: Final = "kv"

LIMITS: Final = {
    "max_lifetime_ms": (1_000, MAX_LIFETIME_MS),
    "max_skew_ms": (0, MAX_SKEW_MS),
    "max_payload_bytes": (1, MAX_PAYLOAD_BYTES),
}
"""The limits that the genesis may set, and their ranges."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A group to be made. `members` and texts in `app_params` of the form `key:NAME` stand for client keys of the home.

    `addresses`: one per replica, or none for a group on this machine, which gets the ports from `base_port` on, or
    free ones. `limits`: fields of `Genesis` by their names; what is not there has the genesis' default.
    """

    name: str = "local"
    replicas: int = MIN_REPLICAS
    app: str = DEFAULT_APP
    app_params: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    base_port: int | None = None
    addresses: tuple[ReplicaAddresses, ...] = ()
    protocol: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        """Raises `OperatorError` for a number of replicas that makes no group, or none with such a window."""
        if not MIN_REPLICAS <= self.replicas <= MAX_REPLICAS:
            raise OperatorError(
                f"{self.replicas} replicas make no group: use {MIN_REPLICAS} or more, "
                f"to tolerate a faulty one, and at most {MAX_REPLICAS}"
            )
        if self.protocol.window > (largest := largest_window(self.replicas)):
            raise OperatorError(
                f"{self.replicas} replicas cannot have a window of {self.protocol.window}: "
                f"use a template whose [protocol] says window = {largest} or less"
            )


def read_template(path: Path) -> Template:
    """The template in `path`. Raises `OperatorError` with one line that names the file, the key and the range."""
    document = tables.parse(path, read_public(path, MAX_CONFIG_BYTES))
    group = document.table("group")
    addresses = read_replicas(document)
    replicas = group.integer("replicas", MIN_REPLICAS, MAX_REPLICAS, len(addresses) or MIN_REPLICAS)
    if addresses and len(addresses) != replicas:
        group.refuse("replicas", replicas, f"there are {len(addresses)} [[replica]] tables: have one for each, or none")
    base_port = group.integer("base_port", 1024, MAX_PORT) if "base_port" in group else None
    group.known("base_port")
    if addresses and base_port is not None:
        group.refuse("base_port", base_port, "the [[replica]] tables say where replicas are: remove this, or them")
    template = Template(
        name=group.text("name"),
        replicas=replicas,
        app=group.text("app", DEFAULT_APP),
        app_params=group.anything("app_params"),
        members=tuple(group.texts("members")),
        limits={name: group.integer(name, *LIMITS[name]) for name in LIMITS if name in group},
        base_port=base_port,
        addresses=addresses,
        protocol=read_protocol(document, replicas),
    )
    for name in LIMITS:
        group.known(name)
    group.close()
    document.close()
    return template
