"""Conviction: evidence convicts nobody who is honest, and of every fork f+1 who are not (OSDI'99 §4.2: any two quorums
share so many replicas, and who was in both of two that decided differently has signed what no correct replica signs).
"""

from collections.abc import Collection

from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId
from bftledger.check.violation import Violation

ORACLE = "evidence"


def check_convicted(
    convicted: Collection[ReplicaId], *, honest: Collection[ReplicaId], group: Group, is_forked: bool
) -> list[Violation]:
    """Honest replicas among those whom evidence convicts, and a fork that convicts too few of the others.

    `convicted`: by what honest replicas hold when all have told each other what they know. `is_forked`: whether honest
    replicas executed different blocks at one height. If no more than f replicas are dishonest, that is a bug and no
    crime: who is to be convicted of it is not asked.
    """
    found = [
        Violation(ORACLE, f"replica {i} is honest, and convicted", None, (i,)) for i in sorted({*convicted} & {*honest})
    ]
    guilty = sorted({*convicted} - {*honest})
    if is_forked and group.n - len({*honest}) > group.f and len(guilty) < group.weak_quorum:
        who = ", ".join(f"replica {i}" for i in guilty) or "nobody"
        found.append(Violation(ORACLE, f"a fork that convicts {who}: {group.weak_quorum} replicas at least made it"))
    return found
