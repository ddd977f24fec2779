"""The verdict on a group that has come to rest: what its honest replicas hold, and what its clients did and were told.

The same for a simulated run and for processes with their SQLite files: whoever calls it says what is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Verifier
from bftledger.base.genesis import Genesis
from bftledger.check import durability, expiry, fates, integrity, linearizability, witness
from bftledger.check.durability import Acknowledgement
from bftledger.check.expiry import Expired
from bftledger.check.fates import Told
from bftledger.check.history import Operation
from bftledger.check.ledgers import Ledgers
from bftledger.check.violation import Violation, Who


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What all clients of a group saw, of `apps.kv`.

    `history`: every call, the unanswered too; empty if not all of it is known. `acknowledged`: what every receipt says
    that was verified. `tellings`: what each was told about its transactions. `expired`: what was told to have expired.
    """

    history: Sequence[Operation] = ()
    acknowledged: Sequence[Acknowledgement] = ()
    tellings: Sequence[Told] = ()
    expired: Sequence[Expired] = ()


def judge_ledgers(
    ledgers: Mapping[Who, Sequence[bytes]],
    seen: Seen,
    *,
    genesis: Genesis,
    machine: StateMachine,
    verifier: Verifier,
    holders: int,
    ahead: int,
) -> list[Violation]:
    """What is wrong with the ledgers of the honest replicas, and with what clients were told, by all those oracles that
    need nothing else. Whether the ledgers are one is for `agreement` to say: here the longest speaks for all.

    `ledgers`: the encodings of their blocks, from height 1 on, of one replica at least. `machine`: the application that
    the genesis names. `holders`: so many replicas must have each acknowledged block. `ahead`: by so many milliseconds
    the time of a block may be ahead of the right time.
    """
    reader = Ledgers(genesis.genesis_hash)
    read = {who: reader.read(blocks) for who, blocks in ledgers.items()}
    longest = max(read, key=lambda who: len(read[who].encoded))
    acknowledged = durability.Durability()
    found: list[Violation] = []
    for acknowledgement in seen.acknowledged:
        found += acknowledged.add(acknowledgement)
    found += acknowledged.violations({who: ledger.held for who, ledger in read.items()}, holders)
    found += integrity.check_chain(longest, read[longest].encoded, genesis, machine, verifier)
    found += expiry.check_expired(seen.expired, ahead=ahead)
    found += fates.check_fates(seen.tellings, read[longest].places)
    found += linearizability.check_history(seen.history)
    found += witness.check_witness(seen.history, read[longest].operations)
    return found
