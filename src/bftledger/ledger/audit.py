"""The audit of a whole ledger: every link, signature, certificate and effect, from the genesis block on.

It believes nothing that is stored: it makes the genesis block itself, executes every block again on top of it, and
compares. Feed it the stored blocks in order; what it returns for each is what must be stored with it.
"""

from collections.abc import Sequence

from bftledger.apps.machine import StateMachine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.chain import decode_at
from bftledger.ledger.executor import Executed, Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.ledger.receipt import verify_header
from bftledger.pbft.messages import CheckpointCertificate


class Audit:
    """A ledger checked so far. `genesis`: block 0 as it must be. `certified`: the last height with a certificate.

    Blocks above `certified` are consistent with the rest, but nothing proves that a quorum agreed on them.
    """

    def __init__(self, genesis: Genesis, machine: StateMachine, verifier: Verifier) -> None:
        state, history = AuthenticatedMap(), History.empty()
        self.genesis = execute_genesis(genesis, machine, state, history)
        self.certified = Seq(0)
        self._ids = _RecentIds()
        self._verifier = verifier
        self._executor = Executor(genesis, machine, state, self._ids.contained, history, self.genesis.block.header)

    @property
    def height(self) -> Seq:
        """The last block that was checked."""
        return self._executor.tip.height

    @property
    def state(self) -> AuthenticatedMap:
        """The application's state after it."""
        return self._executor.state

    def add(self, data: bytes, certificate: CheckpointCertificate | None) -> Executed:
        """Checks the next block as it is stored, and its certificate if the store has one.

        Raises `BadProof`, naming the height; then this audit is over.
        """
        height = Seq(self.height + 1)
        block = decode_at(data, height)
        if certificate is not None:
            try:
                verify_header(block.header, certificate, self._executor.genesis, self._verifier)
            except (BadProof, BadSignature) as error:
                raise BadProof(f"the certificate of block {height} does not hold: {error}") from None
        executed = self._executor.replay(block)
        for transaction in executed.transactions:
            try:
                transaction.verify(self._verifier)
            except BadSignature:
                raise BadProof(f"block {height} holds transaction {transaction.id.hex()}, badly signed") from None
        self._ids.add(executed.transactions, block.header.time)
        if certificate is not None:
            self.certified = height
        return executed


class _RecentIds:
    """The ids of the ledger whose transactions have not expired: older ones are refused for their age alone."""

    def __init__(self) -> None:
        self._expiry: dict[TxId, Millis] = {}
        self._swept = 0

    def contained(self, ids: Sequence[TxId]) -> set[TxId]:
        return {tx_id for tx_id in ids if tx_id in self._expiry}

    def add(self, transactions: Sequence[Transaction], now: Millis) -> None:
        self._expiry.update((transaction.id, transaction.expires) for transaction in transactions)
        if len(self._expiry) > 2 * self._swept + 4_096:
            self._expiry = {tx_id: expires for tx_id, expires in self._expiry.items() if expires >= now}
            self._swept = len(self._expiry)
