"""The client for asyncio programs: a reader that also submits transactions."""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Signer
from bftledger.base.errors import OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, Transaction
from bftledger.base.transaction import sign as sign_transaction
from bftledger.client.reader import DEFAULT_PATIENCE_S, DEFAULT_TIMEOUT_S, Reader, one_or_words
from bftledger.home.home import Home
from bftledger.home.keys import read_client_key
from bftledger.ledger.outcome import Outcome

DEFAULT_LIFETIME_S: Final = 60.0


class AsyncClient(Reader):
    """A connection to a group, for asyncio programs; any number of questions and transactions at once.

    All methods that ask the group raise `NoAnswer` if it does not answer in time, except those that return an
    `Outcome`, which says so itself. Times are in seconds. Belongs to the event loop that it was opened in.
    """

    def __init__(
        self,
        genesis: Genesis,
        addresses: Sequence[str],
        signer: Signer | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        patience: float = DEFAULT_PATIENCE_S,
        machine: StateMachine | None = None,
    ) -> None:
        """As `Reader`. `signer`: signs transactions; reads need none."""
        super().__init__(genesis, addresses, timeout=timeout, patience=patience, machine=machine)
        self.signer: Final = signer

    @classmethod
    def open(
        cls,
        home: Home | Path | str,
        key: str | None = None,
        *,
        passphrase: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """A client of the group whose home is this directory; `key` names the client key that signs.

        Raises `OperatorError` if the home, the key or its passphrase is not right.
        """
        if not isinstance(home, Home):
            home = Home.open(Path(home))
        signer = None if key is None else read_client_key(home.client_keys_path, key).unlock(passphrase)
        patience = home.config.protocol.request_timeout_ms / 1_000
        addresses = [replica.client for replica in home.config.replicas]
        return cls(home.genesis, addresses, signer, timeout=timeout, patience=patience)

    async def submit(self, *what: bytes | str, timeout: float | None = None, lifetime: float | None = None) -> Outcome:
        """Signs a transaction and waits for what becomes of it; never raises because of what does.

        `what`: the payload as bytes, or words for the application, as on the command line: `submit("put", "a", "1")`.
        """
        return await self.submit_transaction(self.make_transaction(*what, lifetime=lifetime), timeout)

    async def submit_transaction(self, transaction: Transaction, timeout: float | None = None) -> Outcome:
        """Submits this transaction and waits for what becomes of it. To submit the same one again is harmless."""
        return await self._conversation.ask(self._session.submission(transaction, self._millis(timeout)))

    def make_transaction(self, *what: bytes | str, lifetime: float | None = None) -> Transaction:
        """A signed transaction, not yet submitted; its `id` is what to ask for.

        `lifetime`: after so many seconds it is too late to order it; a minute, or what the group allows if that is
        less. Raises `OperatorError` without a signer, and for words that the application does not understand.
        """
        if self.signer is None:
            raise OperatorError("a transaction needs a key to sign it: open the client with one")
        longest = self.genesis.max_lifetime_ms
        lifetime_ms = min(round(DEFAULT_LIFETIME_S * 1_000), longest) if lifetime is None else round(lifetime * 1_000)
        created = time.time_ns() // 1_000_000
        return sign_transaction(
            self.signer,
            self.genesis.genesis_hash,
            nonce=secrets.token_bytes(NONCE_BYTES),
            created=Millis(created),
            expires=Millis(created + lifetime_ms),
            payload=one_or_words(what, self.machine.parse),
        )
