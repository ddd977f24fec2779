"""Key files: a replica's two secrets, and a client's one, which a passphrase protects.

Both are short TOML texts of mode 0600 that say what they are, in which version, and whose. A client key is an
Ed25519 seed under libsodium's secretbox (XSalsa20-Poly1305), with a key that argon2id (RFC 9106) makes of the
passphrase; the file names its costs, and one that names too high ones is refused before they are paid. A key made with
`--insecure` holds the seed as it is and says so.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from typing import Final

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from bftledger.base.crypto import PUBLIC_KEY_BYTES, SEED_BYTES, Ed25519Signer
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import MAX_REPLICAS, ReplicaKeys
from bftledger.base.ids import PublicKey, ReplicaId
from bftledger.home import tables
from bftledger.home.files import make_directory, present, read_private, write_private
from bftledger.home.tables import Table
from bftledger.net.curve import KEY_BYTES, TransportKey

VERSION: Final = 1
REPLICA_KIND: Final = "bftledger replica key"
CLIENT_KIND: Final = "bftledger client key"
MAX_KEY_FILE_BYTES: Final = 8192
MAX_PASSPHRASE_BYTES: Final = 1024

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ENCRYPTED, _INSECURE = "passphrase", "none"
_SEALED_BYTES: Final = SecretBox.NONCE_SIZE + SecretBox.MACBYTES + SEED_BYTES


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one guess at a passphrase costs: argon2id's passes over so many bytes of memory."""

    passes: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE


DEFAULT_COST: Final = Cost()
"""libsodium's "moderate": about a second, and 256 MiB of memory."""

MAX_COST: Final = Cost(passes=8, memory_bytes=argon2id.MEMLIMIT_MODERATE)
"""No key file may ask for more: 256 MiB and a few seconds."""


@dataclass(frozen=True, kw_only=True)
class ReplicaSecrets:
    """What makes a process replica `replica`: its signer and its transport key. Its text form shows no secret."""

    replica: ReplicaId
    signing_seed: bytes = field(repr=False)
    transport: TransportKey

    @classmethod
    def generate(cls, replica: ReplicaId) -> "ReplicaSecrets":
        """New ones from the operating system's random source."""
        return cls(replica=replica, signing_seed=token_bytes(SEED_BYTES), transport=TransportKey.generate())

    @property
    def public(self) -> ReplicaKeys:
        """What the genesis says of this replica."""
        return ReplicaKeys(self.signer.public_key, self.transport.public)

    @property
    def signer(self) -> Ed25519Signer:
        """Signs as this replica."""
        return Ed25519Signer(self.signing_seed)


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A client key as it lies on the disk; `unlock` makes a signer of it. Its text form shows no secret."""

    name: str
    public_key: PublicKey
    path: Path
    encrypted: bool
    _cost: Cost = field(default=DEFAULT_COST, repr=False)
    _salt: bytes = field(default=b"", repr=False)
    _secret: bytes = field(repr=False)

    def unlock(self, passphrase: str | None = None) -> Ed25519Signer:
        """Signs as this client. An encrypted key needs its passphrase, an insecure one takes none.

        Raises `OperatorError` if the passphrase is missing or wrong, or the file is damaged.
        """
        seed = self._secret
        if self.encrypted:
            if passphrase is None:
                raise OperatorError(f"{self.path}: key {self.name} is encrypted: give its passphrase")
            try:
                seed = SecretBox(_stretched(passphrase, self._salt, self._cost)).decrypt(self._secret)
            except CryptoError:
                raise OperatorError(f"{self.path}: this is not the passphrase of key {self.name}") from None
        signer = Ed25519Signer(seed)
        if signer.public_key != self.public_key:
            raise OperatorError(f"{self.path}: the public key is not that of the secret: restore the file from a copy")
        return signer


def write_replica_key(path: Path, keys: ReplicaSecrets) -> None:
    """Writes a replica's key file, mode 0600. Raises `OperatorError`, also if it exists."""
    text = f"""\
# PRIVATE. Whoever reads this file can act as replica {keys.replica} of its group, and whoever runs two replicas
# with it makes the one contradict the other. Keep it on that replica's host alone, mode 0600, and out of git.
kind = "{REPLICA_KIND}"
version = {VERSION}
replica = {keys.replica}
signing_public_key = "{keys.signer.public_key.hex()}"
signing_seed = "{keys.signing_seed.hex()}"
transport_public_key = "{keys.transport.public.hex()}"
transport_secret_key = "{keys.transport.secret.hex()}"
"""
    write_private(path, text.encode())


def read_replica_key(path: Path) -> ReplicaSecrets:
    """A replica's keys. Raises `OperatorError` for a file that is missing, not private, damaged, or something else."""
    table = _open(path, REPLICA_KIND)
    keys = ReplicaSecrets(
        replica=ReplicaId(table.integer("replica", 0, MAX_REPLICAS - 1)),
        signing_seed=table.octets("signing_seed", SEED_BYTES),
        transport=_transport(path, table.octets("transport_secret_key", KEY_BYTES)),
    )
    signing_public = table.octets("signing_public_key", PUBLIC_KEY_BYTES)
    transport_public = table.octets("transport_public_key", KEY_BYTES)
    table.close()
    if (signing_public, transport_public) != keys.public:
        raise OperatorError(f"{path}: the public keys are not those of the secrets: restore the file from a copy")
    return keys


def check_key_name(name: str) -> str:
    """`name` if a client key may be called so. Raises `OperatorError`."""
    if not _NAME.fullmatch(name):
        raise OperatorError(
            f"a key cannot be named {tables.shown(name)}: "
            "use 1 to 32 of the characters a-z, 0-9, - and _, a letter or digit first"
        )
    return name


def new_client_key(directory: Path, name: str, passphrase: str | None, cost: Cost = DEFAULT_COST) -> ClientKey:
    """Makes a client key and writes it to `directory`/`name`.key, mode 0600; unencrypted if there is no passphrase.

    Raises `OperatorError` for a bad name, an empty or very long passphrase, or a name that is taken.
    """
    path = _client_path(directory, name)
    seed = token_bytes(SEED_BYTES)
    public = Ed25519Signer(seed).public_key
    head = f'kind = "{CLIENT_KIND}"\nversion = {VERSION}\nname = "{name}"\npublic_key = "{public.hex()}"\n'
    if passphrase is None:
        text = (
            f"# PRIVATE and NOT ENCRYPTED (made with --insecure): whoever reads this file can sign as {name}.\n"
            f'{head}protection = "{_INSECURE}"\nseed = "{seed.hex()}"\n'
        )
    else:
        if not passphrase:
            raise OperatorError("the passphrase is empty: give one, or use --insecure to store the key unencrypted")
        salt = token_bytes(argon2id.SALTBYTES)
        sealed = bytes(SecretBox(_stretched(passphrase, salt, cost)).encrypt(seed))
        text = (
            f"# PRIVATE. Whoever reads this file and knows its passphrase can sign as {name}.\n"
            f'{head}protection = "{_ENCRYPTED}"\n'
            f"# argon2id makes a key of the passphrase, secretbox opens the seed with it.\n"
            f"argon2id_passes = {cost.passes}\nargon2id_memory_bytes = {cost.memory_bytes}\n"
            f'argon2id_salt = "{salt.hex()}"\nsealed_seed = "{sealed.hex()}"\n'
        )
    make_directory(directory, private=True)
    write_private(path, text.encode())
    return read_client_key(directory, name)


def read_client_key(directory: Path, name: str) -> ClientKey:
    """The client key `name`, not yet unlocked.

    Raises `OperatorError` for a bad name and for a file that is missing, not private, damaged, or something else.
    """
    path = _client_path(directory, name)
    if not present(path) and not path.is_symlink():
        raise OperatorError(f"there is no key {name} in {directory}: make it with bftledger key new {name}")
    table = _open(path, CLIENT_KIND)
    stored_name = table.text("name")
    if stored_name != name:
        table.refuse("name", stored_name, f"the file of this key is called {stored_name}.key, not {path.name}")
    public = PublicKey(table.octets("public_key", PUBLIC_KEY_BYTES))
    protection = table.text("protection")
    if protection == _INSECURE:
        secret = table.octets("seed", SEED_BYTES)
        key = ClientKey(name=name, public_key=public, path=path, encrypted=False, _secret=secret)
    elif protection == _ENCRYPTED:
        cost = Cost(
            passes=table.integer("argon2id_passes", argon2id.OPSLIMIT_MIN, MAX_COST.passes),
            memory_bytes=table.integer("argon2id_memory_bytes", argon2id.MEMLIMIT_MIN, MAX_COST.memory_bytes),
        )
        key = ClientKey(
            name=name,
            public_key=public,
            path=path,
            encrypted=True,
            _cost=cost,
            _salt=table.octets("argon2id_salt", argon2id.SALTBYTES),
            _secret=table.octets("sealed_seed", _SEALED_BYTES),
        )
    else:
        table.refuse("protection", protection, f'it should be "{_ENCRYPTED}" or "{_INSECURE}"')
    table.close()
    return key


def list_client_keys(directory: Path) -> tuple[ClientKey, ...]:
    """All client keys of `directory`, by name. Raises as reading one does; files with other names are passed over."""
    try:
        names = sorted(
            path.stem for path in directory.iterdir() if path.suffix == ".key" and _NAME.fullmatch(path.stem)
        )
    except FileNotFoundError:
        return ()
    except OSError:
        raise OperatorError(f"{directory}: is not a directory of keys that can be read") from None
    return tuple(read_client_key(directory, name) for name in names)


def _client_path(directory: Path, name: str) -> Path:
    return directory / f"{check_key_name(name)}.key"


def _stretched(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    # NFC: the same passphrase typed on another system gives the same bytes.
    data = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    if len(data) > MAX_PASSPHRASE_BYTES:
        raise OperatorError(f"the passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes: use a shorter one")
    try:
        return argon2id.kdf(SecretBox.KEY_SIZE, data, salt, opslimit=cost.passes, memlimit=cost.memory_bytes)
    except (RuntimeError, MemoryError):
        raise OperatorError(
            f"not enough memory for argon2id, which needs {cost.memory_bytes >> 20} MiB: stop other programs first"
        ) from None


def _open(path: Path, kind: str) -> Table:
    table = tables.parse(path, read_private(path, MAX_KEY_FILE_BYTES))
    found = table.text("kind", meaning=f'"{kind}"')
    if found != kind:
        table.refuse("kind", found, f'what is needed here is a "{kind}"')
    version = table.integer("version", 0, 2**31)
    if version != VERSION:
        table.refuse("version", version, f"this program reads version {VERSION}: use the one that made the file")
    return table


def _transport(path: Path, secret: bytes) -> TransportKey:
    try:
        return TransportKey(secret)
    except OperatorError as error:
        raise OperatorError(f"{path}: {error}") from None
