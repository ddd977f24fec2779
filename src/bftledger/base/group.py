"""The group: who its members are, and the only place where quorums are counted (OSDI'99 §2, §4).

n replicas tolerate f = ⌊(n-1)/3⌋ faulty ones. For n that is not 3f+1 a quorum is larger than 2f+1: any two
quorums must share a correct replica (2·quorum - n > f), and a quorum must be reachable without the faulty ones
(quorum ≤ n - f).
"""

from dataclasses import dataclass
from functools import cached_property

from bftledger.base.ids import Digest, PublicKey, ReplicaId, View


@dataclass(frozen=True)
class Group:
    """The members in the order of their ids, under the hash that names the group.

    `genesis_hash`: 32 bytes that every signature of the group covers. `keys`: each replica's Ed25519 public key.
    Raises ValueError for fewer than four members or a key that occurs twice.
    """

    genesis_hash: Digest
    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if len(self.keys) < 4:
            raise ValueError(f"a group needs at least 4 replicas to tolerate a faulty one, not {len(self.keys)}")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("two replicas have the same signing key")

    @cached_property
    def n(self) -> int:
        """How many replicas there are."""
        return len(self.keys)

    @cached_property
    def f(self) -> int:
        """How many of them may be faulty."""
        return (self.n - 1) // 3

    @cached_property
    def quorum(self) -> int:
        """2f+1 when n = 3f+1; any two quorums share a correct replica."""
        return (self.n + self.f) // 2 + 1

    @cached_property
    def weak_quorum(self) -> int:
        """f+1: at least one of them is correct."""
        return self.f + 1

    @cached_property
    def replicas(self) -> tuple[ReplicaId, ...]:
        """All ids, 0 … n-1."""
        return tuple(ReplicaId(i) for i in range(self.n))

    def primary(self, view: View) -> ReplicaId:
        """p = v mod |R| (§4)."""
        return ReplicaId(view % self.n)
