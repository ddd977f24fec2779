"""Messages in the words of transcripts: one line each, the same in golden files, in printed runs and in diagrams.

A proposal is called by its transactions. Its digest is all that later messages say, so a `Describer` remembers what it
has read; two proposals of the same transactions are told apart by a number. What an adversary made up is described as
far as it can be read, and nothing that it wrote reaches a terminal as a control character.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, assert_never

from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, ReplicaId
from bftledger.pbft import messages, wire
from bftledger.pbft.messages import CheckpointCertificate, PreparedCertificate, Proposal, Record
from bftledger.pbft.proposals import NULL_PROPOSAL

MAX_PAYLOAD_LENGTH: Final = 48
MAX_LISTED: Final = 4
"""Of more transactions, the first ones and how many follow."""


class Describer:
    """Puts messages into words. `show` does so with a transaction's payload (`StateMachine.show`).

    `cores`: which replica's each second core of a twin is.
    """

    def __init__(
        self, genesis_hash: Digest, show: Callable[[bytes], str], cores: Mapping[ReplicaId, ReplicaId] | None = None
    ) -> None:
        self._genesis_hash = genesis_hash
        self._cores = cores or {}
        self._show = show
        self._names: dict[Digest, str] = {NULL_PROPOSAL.digest: "null"}
        self._namesakes: dict[str, int] = {}
        self._blocks: dict[int, Digest] = {}

    def read(self, frame: bytes) -> Record | Malformed:
        """The message in a frame, its signatures unchecked; or why there is none."""
        try:
            return wire.decode(frame, self._genesis_hash)
        except Malformed as error:
            return error

    def describe(self, message: Record) -> str:
        """One message in one line."""
        match message:
            case messages.PrePrepare():
                if message.proposal is not None:
                    self.proposal(message.proposal)
                return f"PRE-PREPARE v{message.view} n{message.seq} {self.name(message.digest)}"
            case messages.Prepare():
                return f"PREPARE v{message.view} n{message.seq} {self.name(message.digest)}"
            case messages.Commit():
                return f"COMMIT v{message.view} n{message.seq} {self.name(message.digest)}"
            case messages.Checkpoint():
                return f"CHECKPOINT n{message.seq}{self._block(message.seq, message.block_hash)}"
            case messages.ViewChange():
                prepared = (f"n{c.pre_prepare.seq}@v{c.pre_prepare.view}" for c in message.prepared)
                return f"VIEW-CHANGE v{message.view} stable n{message.stable_seq} prepared {every(prepared)}"
            case messages.NewView():
                senders = (str(change.replica) for change in message.view_changes)
                assigned = (f"n{p.seq} {self.name(p.digest)}" for p in message.pre_prepares)
                return f"NEW-VIEW v{message.view} from {every(senders)} assigns {every(assigned)}"
            case messages.Status():
                slots = (
                    f"n{s.seq} {'pp' if s.has_pre_prepare else '-'} p{_digits(s.prepares)} c{_digits(s.commits)} "
                    f"cp{_digits(s.checkpoints)}"
                    for s in message.slots
                )
                active = "" if message.active else f" awaited, from {_digits(message.view_changes)}"
                place = f"stable n{message.stable} executed n{message.executed}"
                convicted = f" convicted {_digits(message.convicted)}" if message.convicted else ""
                return f"STATUS v{message.view}{active} {place} slots {every(slots)}{convicted}"
            case messages.Relay():
                return f"RELAY {self.batch(tx.payload for tx in message.transactions) or 'none'}"
            case messages.Stable():
                return f"STABLE {self._certificate(message.certificate)}"
            case messages.FetchProposal():
                return f"FETCH-PROPOSAL n{message.seq} {self.name(message.digest)}"
            case messages.Proposed():
                return f"PROPOSED n{message.seq} {self.proposal(message.proposal)}"
            case messages.FetchBlocks():
                return f"FETCH-BLOCKS from n{message.first}"
            case messages.Blocks():
                last = message.first + len(message.blocks) - 1
                proof = self._certificate(message.certificate)
                return f"BLOCKS n{message.first} to n{last}, {len(message.headers)} headers, {proof}"
            case messages.Testimony():
                told = (f"{m.replica}: {self.describe(m)}" for m in message.messages)
                return f"TESTIMONY {'; '.join(told) or 'none'}"
            case PreparedCertificate():
                slot = message.pre_prepare
                return f"PREPARED-CERTIFICATE v{slot.view} n{slot.seq} {self.name(slot.digest)}, outside a message"
            case CheckpointCertificate():
                return f"CHECKPOINT-CERTIFICATE {self._certificate(message)}, outside a message"
            case _:
                assert_never(message)

    def identity(self, core: ReplicaId) -> ReplicaId:
        """In whose name a core speaks."""
        return self._cores.get(core, core)

    def name(self, digest: Digest) -> str:
        """What the proposal of this digest is called: by its transactions, if they were seen."""
        return self._names.get(digest, f"d:{digest.hex()[:8]}")

    def proposal(self, proposal: Proposal) -> str:
        """Names a proposal for good, and returns the name."""
        if proposal.digest not in self._names:
            name = f"[{self.batch((tx.payload for tx in proposal.transactions), ', ')}]"
            count = self._namesakes[name] = self._namesakes.get(name, 0) + 1
            self._names[proposal.digest] = name if count == 1 else f"{name}#{count}"
        return self._names[proposal.digest]

    def batch(self, payloads: Iterable[bytes], separator: str = " ") -> str:
        """Transactions by their payloads."""
        shown = [clean(self._show(payload), MAX_PAYLOAD_LENGTH) for payload in payloads]
        if len(shown) > MAX_LISTED:
            shown[MAX_LISTED - 1 :] = [f"and {len(shown) - MAX_LISTED + 1} more"]
        return separator.join(shown)

    def _block(self, height: int, block_hash: Digest) -> str:
        """Nothing for the block that was heard of first at its height; for another one, the start of its hash."""
        first = self._blocks.setdefault(height, block_hash)
        return "" if first == block_hash else f" d:{block_hash.hex()[:8]}"

    @staticmethod
    def _certificate(certificate: CheckpointCertificate) -> str:
        return f"n{certificate.seq} signed by {every(str(i) for i, _ in certificate.signatures)}"


def signer(message: Record) -> ReplicaId | None:
    """Whom a message names as its sender, truly or not; None for a bare certificate."""
    return None if isinstance(message, PreparedCertificate | CheckpointCertificate) else message.replica


def every(items: Iterable[str]) -> str:
    """All of them in a row, or that there are none."""
    return " ".join(items) or "none"


def members(mask: int) -> list[ReplicaId]:
    """The replicas of a bit mask, in ascending order."""
    return [ReplicaId(i) for i in range(mask.bit_length()) if mask >> i & 1]


def clean(text: str, length: int = 200) -> str:
    """`text` in one line that no terminal and no reader can mistake: no control characters, not too long."""
    kept = "".join(c if _is_harmless(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text[: length + 1])
    return kept if len(kept) <= length else kept[: length - 1] + "…"


def _is_harmless(code: int) -> bool:
    """Not a control character, nor one that turns the direction of text, nor half of a character.

    The ranges stand here because `str.isprintable` knows other characters in each version of Python.
    """
    is_control = code < 0x20 or 0x7F <= code < 0xA0
    turns = 0x200B <= code <= 0x200F or 0x2028 <= code <= 0x202E or 0x2060 <= code <= 0x206F or code == 0xFEFF
    return not (is_control or turns or 0xD800 <= code <= 0xDFFF)


def _digits(mask: int) -> str:
    return "".join(str(i) for i in members(mask)) or "-"
