"""A small group with a ledger in memory: what the tests of this layer build on. Deterministic: keys are numbers."""

from collections.abc import Sequence

from bftledger.apps.load import load_machine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Digest, Millis, PublicKey, ReplicaId, TxId
from bftledger.base.transaction import Transaction, sign
from bftledger.ledger.block import Header
from bftledger.ledger.executor import Executed, Executor, execute_genesis
from bftledger.ledger.history import History, history_path
from bftledger.ledger.receipt import Receipt
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, CheckpointCertificate
from bftledger.pbft.proposals import make_proposal

START = Millis(1_000_000)
REPLICAS = [Ed25519Signer(bytes([i + 1]) * 32) for i in range(4)]
ALICE, BOB = Ed25519Signer(b"a" * 32), Ed25519Signer(b"b" * 32)
VERIFIER = Ed25519Verifier()


def a_genesis(*, app: str = "kv", members: Sequence[PublicKey] = (), created: Millis = START) -> Genesis:
    replicas = tuple(ReplicaKeys(signer.public_key, bytes([i]) * 32) for i, signer in enumerate(REPLICAS))
    return Genesis(name="test", created=created, app=app, replicas=replicas, members=tuple(members))


GENESIS = a_genesis()


def certify(header: Header, signers: Sequence[int] = (0, 1, 3), genesis: Genesis = GENESIS) -> CheckpointCertificate:
    """A certificate with the real signatures of these replicas."""
    signatures = []
    for i in signers:
        vote = Checkpoint(seq=header.height, block_hash=header.hash, replica=ReplicaId(i), signature=wire.UNSIGNED)
        signatures.append((ReplicaId(i), wire.sign(vote, REPLICAS[i], genesis.genesis_hash).signature))
    return CheckpointCertificate(seq=header.height, block_hash=header.hash, signatures=tuple(signatures))


class World:
    """One replica's ledger, and everything that it stored."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        self.genesis = genesis
        self.nodes: dict[tuple[int, int], Digest] = {}
        self.ids: set[TxId] = set()
        self.done: list[Executed] = []
        self.machine = load_machine(genesis.app, genesis.app_params)
        self.state, self.history = AuthenticatedMap(), History.empty()
        self._store(execute_genesis(genesis, self.machine, self.state, self.history))
        tip = self.done[0].block.header
        self.executor = Executor(genesis, self.machine, self.state, self.ids.intersection, self.history, tip)
        self._nonce = 0

    def transaction(
        self,
        words: str = "put color blue",
        *,
        by: Ed25519Signer = ALICE,
        created: int = START,
        lifetime: int = 60_000,
        payload: bytes | None = None,
    ) -> Transaction:
        """A new signed transaction, never the same twice."""
        self._nonce += 1
        return sign(
            by,
            self.genesis.genesis_hash,
            nonce=self._nonce.to_bytes(8, "big"),
            created=Millis(created),
            expires=Millis(created + lifetime),
            payload=self.machine.parse(words.split()) if payload is None else payload,
        )

    def execute(self, *transactions: Transaction, time: int = 0) -> Executed:
        """The next block."""
        executed = self.executor.execute(make_proposal(Millis(time), transactions))
        self._store(executed)
        return executed

    def replay(self, executed: Executed) -> Executed:
        """The same block, made by another replica."""
        again = self.executor.replay(executed.block)
        self._store(again)
        return again

    def read_node(self, level: int, place: int) -> Digest:
        return self.nodes[level, place]

    def receipt(self, height: int, index: int, *, later: int | None = None) -> Receipt:
        """Of a transaction in a block, certified there or at a later height."""
        executed = self.done[height]
        block = executed.block
        last = None if later is None else self.done[later].block.header
        return Receipt(
            transaction=executed.transactions[index],
            result=executed.results[index],
            index=index,
            transaction_path=block.transaction_paths[index],
            result_path=block.result_paths[index],
            header=block.header,
            later=last,
            history_path=history_path(height, last.height, self.read_node) if last else b"",
            certificate=certify(last or block.header, genesis=self.genesis),
        )

    def _store(self, executed: Executed) -> None:
        self.done.append(executed)
        self.ids.update(tx.id for tx in executed.transactions)
        self.nodes.update(((node.level, node.place), node.hash) for node in executed.history_nodes)


def a_world_of(heights: int, width: int = 3) -> World:
    """A ledger with so many blocks of so many transactions above its genesis block."""
    world = World()
    for height in range(1, heights + 1):
        world.execute(*[world.transaction(f"put key{i} {height}") for i in range(width)], time=START + 10 * height)
    return world
