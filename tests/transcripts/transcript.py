"""A run as text: who said what to whom and when, in words that stay readable in a diff."""

from collections.abc import Iterable

from bftledger.pbft import messages, wire
from bftledger.pbft.messages import CheckpointCertificate, PrePrepare, Proposal
from tests.builders import GENESIS
from tests.cluster import Cluster


def mask(replicas: int) -> str:
    """A set of replicas as digits."""
    return "".join(str(i) for i in range(replicas.bit_length()) if replicas >> i & 1) or "-"


class Transcript:
    """Writes down what happens in a cluster. Receivers of the same message in the same step share a line."""

    def __init__(self, cluster: Cluster) -> None:
        self.lines: list[str] = []
        self._names: dict[bytes, str] = {wire.NULL_PROPOSAL.digest: "null"}
        self._cluster = cluster
        self._last: tuple[int, int, bytes] | None = None
        cluster.log = self.note
        cluster.tap = self._tap

    def chapter(self, title: str) -> None:
        """A heading."""
        self.lines += ["", f"== {title}"]
        self._last = None

    def note(self, line: str) -> None:
        """Something that is no message."""
        self._write(line)
        self._last = None

    def _tap(self, source: int, to: int, frame: bytes) -> bool:
        key = (self._cluster.now, source, frame)
        if key == self._last:
            self.lines[-1] += f",{to}"
        else:
            message = wire.decode(frame, GENESIS)
            self._write(f"{source}: {self.describe(message)} -> {to}")
        self._last = key
        return True

    def _write(self, line: str) -> None:
        self.lines.append(f"{self._cluster.now:6} {line}")

    def _name(self, digest: bytes) -> str:
        return self._names.get(digest, "unknown")

    def _proposal(self, proposal: Proposal) -> str:
        name = "[" + ", ".join(tx.payload.decode() for tx in proposal.transactions) + "]"
        return self._names.setdefault(proposal.digest, name)

    def describe(self, message: wire.Record) -> str:
        """One message in one line."""
        match message:
            case PrePrepare():
                if message.proposal is not None:
                    self._proposal(message.proposal)
                return f"PRE-PREPARE v{message.view} n{message.seq} {self._name(message.digest)}"
            case messages.Prepare() | messages.Commit():
                kind = "PREPARE" if isinstance(message, messages.Prepare) else "COMMIT"
                return f"{kind} v{message.view} n{message.seq} {self._name(message.digest)}"
            case messages.Checkpoint():
                return f"CHECKPOINT n{message.seq}"
            case messages.ViewChange():
                prepared = (f"n{c.pre_prepare.seq}@v{c.pre_prepare.view}" for c in message.prepared)
                return f"VIEW-CHANGE v{message.view} stable n{message.stable_seq} prepared {_all(prepared)}"
            case messages.NewView():
                senders = (str(change.replica) for change in message.view_changes)
                assigned = (f"n{p.seq} {self._name(p.digest)}" for p in message.pre_prepares)
                return f"NEW-VIEW v{message.view} from {_all(senders)} assigns {_all(assigned)}"
            case messages.Status():
                slots = (
                    f"n{s.seq} {'pp' if s.has_pre_prepare else '-'} p{mask(s.prepares)} c{mask(s.commits)} "
                    f"cp{mask(s.checkpoints)}"
                    for s in message.slots
                )
                active = "" if message.active else f" awaited, from {mask(message.view_changes)}"
                place = f"stable n{message.stable} executed n{message.executed}"
                return f"STATUS v{message.view}{active} {place} slots {_all(slots)}"
            case messages.Relay():
                return f"RELAY {_all(tx.payload.decode() for tx in message.transactions)}"
            case messages.Stable():
                return f"STABLE {self._certificate(message.certificate)}"
            case messages.FetchProposal():
                return f"FETCH-PROPOSAL n{message.seq} {self._name(message.digest)}"
            case messages.Proposed():
                return f"PROPOSED n{message.seq} {self._proposal(message.proposal)}"
            case messages.FetchBlocks():
                return f"FETCH-BLOCKS from n{message.first}"
            case messages.Blocks():
                last = message.first + len(message.blocks) - 1
                proof = self._certificate(message.certificate)
                return f"BLOCKS n{message.first} to n{last}, {len(message.headers)} headers, {proof}"
            case _:
                raise AssertionError("certificates travel in messages")

    def _certificate(self, certificate: CheckpointCertificate) -> str:
        return f"n{certificate.seq} signed by {_all(str(i) for i, _ in certificate.signatures)}"

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines).strip() + "\n"


def _all(items: Iterable[str]) -> str:
    return " ".join(items) or "none"
