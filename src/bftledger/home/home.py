"""A home: the directory that holds everything of a group on one host.

    genesis.json               who the group is; public, the same everywhere, never changes
    configs/group.toml         where its replicas are, and the protocol's numbers
    keys/replica-I.key         private: a replica's secrets; on a host of its own only that replica's
    keys/clients/NAME.key      private: a client's key
    data/replica-I/ledger.db   what replica I voted, decided and executed
    run/                       of running processes: pid files and logs

The genesis is written last: a home that has one is whole. Clients need the genesis and the configuration only, and
checking a receipt the genesis only.
"""

import time
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bftledger.apps.load import load_machine
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, PublicKey, ReplicaId
from bftledger.home.addresses import local_addresses
from bftledger.home.config import Config, read_config, write_config
from bftledger.home.files import make_directory, present, read_public, write_public
from bftledger.home.keys import ReplicaSecrets, read_client_key, read_replica_key, write_replica_key
from bftledger.home.template import Template

KEY_REFERENCE: Final = "key:"
"""Begins a text in a template that stands for a client key of the home: `key:alice`."""


class Home:
    """The paths of a home, and what its files say. Making one touches nothing; `open` and `init` do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    # ── where things are ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def genesis_path(self) -> Path:
        return self.path / "genesis.json"

    @property
    def config_path(self) -> Path:
        return self.path / "configs" / "group.toml"

    @property
    def keys_path(self) -> Path:
        return self.path / "keys"

    @property
    def client_keys_path(self) -> Path:
        return self.keys_path / "clients"

    @property
    def run_path(self) -> Path:
        return self.path / "run"

    def replica_key_path(self, replica: int) -> Path:
        return self.keys_path / f"replica-{replica}.key"

    def data_path(self, replica: int) -> Path:
        return self.path / "data" / f"replica-{replica}"

    def ledger_path(self, replica: int) -> Path:
        return self.data_path(replica) / "ledger.db"

    def pid_path(self, replica: int) -> Path:
        return self.run_path / f"replica-{replica}.pid"

    def log_path(self, replica: int) -> Path:
        return self.run_path / f"replica-{replica}.log"

    # ── what they say ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def exists(self) -> bool:
        """Whether a group was made here, whole."""
        return present(self.genesis_path)

    @property
    def has_parts(self) -> bool:
        """Whether there is a configuration or a replica's key, genesis or not."""
        return present(self.config_path) or any(self.keys_path.glob("replica-*.key"))

    @classmethod
    def open(cls, path: Path) -> "Home":
        """The home at `path`, its genesis read and valid. Raises `OperatorError` if there is none, or it is not one."""
        home = cls(path)
        if not present(path):
            raise OperatorError(f"{path} does not exist: make a group there with bftledger --home {path} init")
        if not path.is_dir():
            raise OperatorError(f"{path} is not a directory: name the home of a group with --home")
        if not home.exists:
            if home.has_parts:
                raise OperatorError(f"{home.genesis_path} is missing: copy it from another replica's home")
            raise OperatorError(
                f"{path} is not a home of a group, for it has no genesis.json: "
                f"name one with --home, or make one there with bftledger --home {path} init"
            )
        _ = home.genesis
        return home

    @cached_property
    def genesis(self) -> Genesis:
        """The group's genesis. Raises `OperatorError` if it is missing or not valid."""
        data = read_public(self.genesis_path)
        try:
            return Genesis.from_json(data)
        except OperatorError as error:
            raise OperatorError(f"{self.genesis_path}: {error}") from None

    @cached_property
    def config(self) -> Config:
        """The group's configuration. Raises `OperatorError` if it is not valid, or not for as many replicas."""
        config = read_config(self.config_path)
        if len(config.replicas) != self.genesis.group.n:
            raise OperatorError(
                f"{self.config_path}: has {len(config.replicas)} replicas, and the genesis {self.genesis.group.n}: "
                "have one [[replica]] for each"
            )
        skew, allowed = config.protocol.clock_skew_ms, self.genesis.max_skew_ms
        if 2 * skew > allowed:
            raise OperatorError(
                f"{self.config_path}: protocol.clock_skew_ms = {skew}: with the genesis's max_skew_ms = {allowed} it "
                f"should be at most {allowed // 2}: what one replica finds created in time, all others must"
            )
        return config

    def check_replica_id(self, replica: int) -> ReplicaId:
        """`replica` if the group has one of this number. Raises `OperatorError`."""
        if not 0 <= replica < self.genesis.group.n:
            raise OperatorError(f"there is no replica {replica}: this group's are 0 to {self.genesis.group.n - 1}")
        return ReplicaId(replica)

    def secrets(self, replica: int) -> ReplicaSecrets:
        """A replica's secrets, checked against the genesis.

        Raises `OperatorError` if the file is missing, not private, damaged, another replica's or another group's.
        """
        path = self.replica_key_path(self.check_replica_id(replica))
        secrets = read_replica_key(path)
        if secrets.public == self.genesis.replicas[replica]:
            if secrets.replica != replica:
                raise OperatorError(f"{path}: says replica {secrets.replica}, and its keys are {replica}'s: correct it")
            return secrets
        if secrets.public in self.genesis.replicas:
            owner = self.genesis.replicas.index(secrets.public)
            raise OperatorError(f"{path}: is the key of replica {owner}: put replica {replica}'s own there")
        raise OperatorError(
            f"{path}: is not a key of this group: either it or {self.genesis_path} is from another group; "
            "put both from the same one there"
        )

    def replicas_here(self) -> tuple[ReplicaId, ...]:
        """The replicas whose key files are in this home: those that this host can run."""
        return tuple(i for i in self.genesis.group.replicas if present(self.replica_key_path(i)))

    def make_directories(self, replica: int) -> None:
        """Makes where replica `replica` keeps its ledger and its run files. Raises `OperatorError`."""
        make_directory(self.data_path(replica))
        make_directory(self.run_path)


def init(path: Path, template: Template, created: Millis | None = None) -> Home:
    """Makes a group in `path`: its genesis, all replicas' keys, its configuration. `created`: now, if it is None.

    A directory that holds other things, client keys among them, may become a home. Raises `OperatorError`, and leaves
    no file behind, if there is a group or the rest of one, if the application refuses its parameters, or if a port is
    taken.
    """
    home = Home(path)
    _check_vacant(home)
    addresses = template.addresses or local_addresses(template.replicas, template.base_port)
    secrets = [ReplicaSecrets.generate(ReplicaId(i)) for i in range(template.replicas)]
    genesis = Genesis(
        name=template.name,
        created=Millis(time.time_ns() // 1_000_000) if created is None else created,
        app=template.app,
        app_params=_resolved(home, template.app_params),
        replicas=tuple(replica.public for replica in secrets),
        members=tuple(_member(home, member) for member in template.members),
        **{name: Millis(value) for name, value in template.limits.items()},
    )
    load_machine(genesis.app, genesis.app_params)

    with ExitStack() as undo:
        make_directory(path)
        make_directory(home.keys_path, private=True)
        make_directory(home.client_keys_path, private=True)
        make_directory(home.config_path.parent)
        for replica in secrets:
            home.make_directories(replica.replica)
            write_replica_key(home.replica_key_path(replica.replica), replica)
            undo.callback(home.replica_key_path(replica.replica).unlink)
        write_config(home.config_path, Config(replicas=addresses, protocol=template.protocol))
        undo.callback(home.config_path.unlink)
        write_public(home.genesis_path, genesis.to_json().encode())
        undo.pop_all()
    return Home.open(path)


def _check_vacant(home: Home) -> None:
    if home.exists:
        raise OperatorError(f"{home.path} holds a group already: use it, or name another directory with --home")
    if home.has_parts:
        raise OperatorError(
            f"{home.path} holds keys or a configuration but no genesis.json, as an init that was killed leaves them: "
            f"remove {home.keys_path}/replica-*.key and {home.config_path}, then init again"
        )


def _member(home: Home, text: str) -> PublicKey:
    text = _resolved(home, text)
    try:
        return PublicKey(bytes.fromhex(text))
    except ValueError:
        raise OperatorError(f"member {text!r} is neither a public key in hexadecimal nor key:NAME") from None


def _resolved(home: Home, value: Any) -> Any:
    """`value` with each text `key:NAME` in it replaced by that client's public key in hexadecimal."""
    match value:
        case str() if value.startswith(KEY_REFERENCE):
            return read_client_key(home.client_keys_path, value.removeprefix(KEY_REFERENCE)).public_key.hex()
        case dict():
            return {name: _resolved(home, item) for name, item in value.items()}
        case list():
            return [_resolved(home, item) for item in value]
        case _:
            return value
