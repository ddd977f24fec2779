"""Agreement: replicas that executed a height made the same block, and the same state (OSDI'99 §3, safety)."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from bftledger.base.ids import Digest, Seq
from bftledger.check.violation import Violation, Who, named, short

ORACLE = "agreement"


class Made(NamedTuple):
    """What executing a height gave: the block's hash, and the root of the state after it."""

    block_hash: Digest
    state_root: Digest


class Fork(NamedTuple):
    """The first height that has two versions, and who holds which; what follows differs anyway."""

    height: Seq
    versions: tuple[tuple[Made, tuple[Who, ...]], ...]
    """In the order in which they were heard of."""

    def __str__(self) -> str:
        hashes = [made.block_hash for made, _ in self.versions]
        told = []
        for made, holders in self.versions:
            state = f" with state {short(made.state_root)}" if hashes.count(made.block_hash) > 1 else ""
            told.append(f"{short(made.block_hash)}{state} at {named(*holders)}")
        return f"block {self.height} is {', but '.join(told)}"


class Agreement:
    """Every block that every honest replica executed, in any order. Restarts may bring the same ones again."""

    def __init__(self) -> None:
        self._made: dict[int, dict[Made, dict[Who, None]]] = {}
        self._forked: int | None = None

    def add(self, who: Who, height: int, block_hash: Digest, state_root: Digest) -> list[Violation]:
        """`who` has this block at `height`. Returns the fork if this one shows it, or that it began earlier."""
        made = Made(block_hash, state_root)
        versions = self._made.get(height)
        if versions is None:
            self._made[height] = {made: {who: None}}
            return []
        holders = versions.setdefault(made, {})
        is_new = not holders
        holders[who] = None
        if not is_new or (self._forked is not None and height >= self._forked):
            return []
        self._forked = height
        return self.violations()

    @property
    def fork(self) -> Fork | None:
        """Where the chains part, if they do."""
        if self._forked is None:
            return None
        versions = self._made[self._forked].items()
        return Fork(Seq(self._forked), tuple((made, tuple(holders)) for made, holders in versions))

    def violations(self) -> list[Violation]:
        """The fork, if there is one."""
        return _violations(self.fork)


def first_difference(chains: Mapping[str, Sequence[Digest | None]]) -> Fork | None:
    """Where whole chains part, if they do.

    `chains`: block hashes from block 0, the genesis block, on; None stands for a block that is damaged, and is left
    out. A shorter chain must be the beginning of the longer ones.
    """
    agreement = Agreement()
    for height, hashes in enumerate(zip_longest(*chains.values())):
        for name, block_hash in zip(chains, hashes, strict=True):
            if block_hash is not None:
                agreement.add(name, height, block_hash, _NO_STATE)
        if agreement.fork is not None:
            return agreement.fork
    return None


def compare_chains(chains: Mapping[str, Sequence[Digest | None]]) -> list[Violation]:
    """The fork of whole chains, if there is one; see `first_difference`."""
    return _violations(first_difference(chains))


def _violations(fork: Fork | None) -> list[Violation]:
    if fork is None:
        return []
    return [Violation(ORACLE, str(fork), fork.height, tuple(who for _, holders in fork.versions for who in holders))]


_NO_STATE = Digest(b"")
"""Where only blocks are compared; a block's hash covers its state."""
