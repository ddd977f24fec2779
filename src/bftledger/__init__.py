"""bftledger: a Byzantine-fault-tolerant ledger that a small group of parties runs together.

n replicas, each a process of its own, agree by PBFT (Castro and Liskov, OSDI'99) on one order of signed transactions
and append them to a hash-chained ledger. Up to f = ⌊(n-1)/3⌋ of them may lie, collude, stall or crash, and the ledger
neither forks nor loses what it acknowledged. A client gets a receipt that anyone can check with the group's genesis.

    from bftledger import Client

    with Client.open("my-group", key="alice") as client:
        outcome = client.submit("put", "color", "blue")
        print(outcome, client.show(client.query("color")))

Layers
======
Each imports only what stands above it in this list, those of one line never each other (`tests/test_layers.py`).
`base`, `pbft`, `apps`, `ledger`, `check`, `engine`, `adversary` and `sim` touch no file, socket, clock or thread, nor
any chance but what follows from a seed. `node` and `client` never import `adversary`.

    base                  ids, quorums, canonical CBOR, hashes and signatures, genesis, transaction, errors
    pbft  apps            the protocol core: `Replica.step(event, now) -> effects`; the state machines and their map
    ledger                blocks, Merkle trees, execution, receipts; the client's side of the conversation
    storage  net  check   one SQLite file per replica; ZeroMQ with CURVE; the oracles: what must be true of a group
    engine  home          a whole replica without sockets and clock; keys, configuration, a group's directory
    adversary             lenses on an engine that make it lie
    node  client  sim     a replica as a process; the Python client; whole groups on virtual time, from a seed
    bench                 groups of processes under load, measured
    cli                   the commands `bftledger` and `bftledger-adversary`

Reading order
=============
With the paper beside it: `pbft.messages`, `pbft.state`, `pbft.normal`, `pbft.checkpoint`, `pbft.view_change`,
`pbft.replica`. Then what the core's effects become: `engine.engine`, `ledger.executor`, `storage.store`, `node.driver`.
And how it is attacked and judged: `adversary.behaviour`, `adversary.behaviours.equivocation`, `sim.plan`, `sim.world`,
`check.promises`, `check.verdict`, `sim.run`, `sim.oracles`; `docs/simulation.md` and `docs/adversaries.md` introduce
them.

    OSDI'99                                     file
    §2    system model, quorums                 base/group.py, base/crypto.py
    §4.1  the client                            ledger/asking.py, ledger/submission.py, ledger/receipt.py
    §4.2  normal case                           pbft/normal.py; the predicates in pbft/state.py
    §4.3  checkpoints, garbage collection       pbft/checkpoint.py
    §4.4  view changes                          pbft/view_change.py, pbft/certificates.py, pbft/suspicion.py
    -     what convicts a faulty replica        pbft/guilt.py, pbft/witness.py, pbft/testimony.py, pbft/evidence.py
    §4.5  safety and liveness                   pbft/invariants.py, pbft/timers.py
    §4.6  non-determinism                       pbft/normal.py (`is_timely`), ledger/executor.py
    TOCS'02: batching, retransmission,          pbft/pool.py, pbft/waiting.py, pbft/status.py,
             state transfer, restarts           pbft/transfer.py, pbft/recovery.py

`docs/protocol.md` has the whole table, every deviation with its reason, and why it is safe and live.

The names below are the public API. They are imported when they are first used, so that the command line starts quickly.
"""

__version__ = "0.1.0"

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bftledger.apps.machine import Context, Rejected, Result, StateMachine
    from bftledger.apps.state import StateView
    from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
    from bftledger.base.errors import BadProof, BadSignature, BftLedgerError, Malformed, OperatorError, StoreError
    from bftledger.base.genesis import Genesis
    from bftledger.base.transaction import Transaction
    from bftledger.client.client import AsyncClient
    from bftledger.client.reader import Reader, Reading
    from bftledger.client.sync import Client
    from bftledger.home.home import Home
    from bftledger.ledger.block import Block, Header
    from bftledger.ledger.outcome import NoAnswer, NoQuorum, NotCommitted, NotFound, Outcome, State
    from bftledger.ledger.receipt import Receipt, verify_receipt

__all__ = [
    "AsyncClient",
    "BadProof",
    "BadSignature",
    "BftLedgerError",
    "Block",
    "Client",
    "Context",
    "Ed25519Signer",
    "Ed25519Verifier",
    "Genesis",
    "Header",
    "Home",
    "Malformed",
    "NoAnswer",
    "NoQuorum",
    "NotCommitted",
    "NotFound",
    "OperatorError",
    "Outcome",
    "Reader",
    "Reading",
    "Receipt",
    "Rejected",
    "Result",
    "State",
    "StateMachine",
    "StateView",
    "StoreError",
    "Transaction",
    "verify_receipt",
]

_SOURCES = {
    "apps.machine": ("Context", "Rejected", "Result", "StateMachine"),
    "apps.state": ("StateView",),
    "base.crypto": ("Ed25519Signer", "Ed25519Verifier"),
    "base.errors": ("BadProof", "BadSignature", "BftLedgerError", "Malformed", "OperatorError", "StoreError"),
    "base.genesis": ("Genesis",),
    "base.transaction": ("Transaction",),
    "client.client": ("AsyncClient",),
    "client.reader": ("Reader", "Reading"),
    "client.sync": ("Client",),
    "home.home": ("Home",),
    "ledger.block": ("Block", "Header"),
    "ledger.outcome": ("NoAnswer", "NoQuorum", "NotCommitted", "NotFound", "Outcome", "State"),
    "ledger.receipt": ("Receipt", "verify_receipt"),
}
_MODULES = {name: module for module, names in _SOURCES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A name of the public API, imported at its first use (PEP 562)."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
