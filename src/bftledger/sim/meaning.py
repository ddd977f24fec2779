"""What a message says and why it matters, for people who have heard of PBFT and have not read this code."""

from collections.abc import Iterable
from enum import Enum
from typing import Final, assert_never

from bftledger.base.group import Group
from bftledger.ledger import client_messages as asking
from bftledger.ledger.client_messages import Reply, Request
from bftledger.pbft import messages
from bftledger.pbft.messages import CheckpointCertificate, PreparedCertificate, Record
from bftledger.sim.describe import Describer, every, members
from bftledger.sim.dialogue import Dialogue


class Phase(Enum):
    """What part of the protocol a message belongs to. The values are the words for people."""

    CLIENT_REQUEST = "client asks"
    CLIENT_REPLY = "client is answered"
    REQUEST = "relayed request"
    PRE_PREPARE = "pre-prepare"
    PREPARE = "prepare"
    COMMIT = "commit"
    CHECKPOINT = "checkpoint"
    VIEW_CHANGE = "view change, new view"
    TRANSFER = "catching up"
    STATUS = "status"
    EVIDENCE = "evidence"
    GARBAGE = "garbage"


WHY: Final = {
    Phase.CLIENT_REQUEST: "A client asks one replica for its transaction, and all of them if that does not answer in "
    "time: so none can keep it from being heard.",
    Phase.CLIENT_REPLY: "A client believes no single replica, only proof: a quorum's signatures over the block, and "
    "paths from there to what it asked for; or that a transaction expired, if f+1 say so. All else is a hint.",
    Phase.REQUEST: "Whoever gets it orders it, or watches that the primary does: so no primary can ignore a client "
    "that turns to an honest replica.",
    Phase.PRE_PREPARE: "The first of three steps: the primary gives a batch of transactions its place. A backup that "
    "finds nothing wrong, and has accepted nothing else for this place in this view, answers with PREPARE to all.",
    Phase.PREPARE: "The second of three steps. The proposal and equal PREPAREs of a quorum make it prepared: no other "
    "batch can get a quorum for this place in this view, because two quorums share an honest replica.",
    Phase.COMMIT: "The last of three steps. A quorum of COMMITs makes the decision final, whatever view changes "
    "follow: the batch is executed.",
    Phase.CHECKPOINT: "Equal CHECKPOINTs of a quorum are the block's certificate: proof for clients and for replicas "
    "that lag, and leave to forget what came before.",
    Phase.VIEW_CHANGE: "The primary is replaced. A quorum's VIEW-CHANGEs prove whatever may have been decided, and "
    "NEW-VIEW shows them, so that everybody can tell what the new primary must propose again.",
    Phase.TRANSFER: "Nothing may rely on a message arriving: who missed something asks for it, and believes no answer "
    "without proof.",
    Phase.STATUS: "Sent now and then: peers answer with just what its sender lacks, so nothing is lost for good.",
    Phase.EVIDENCE: "Two statements that contradict each other, signed by one replica, convict it: no honest replica "
    "ever signs both. Anybody can check the proof offline.",
    Phase.GARBAGE: "Honest replicas drop it at the door, before it costs them anything.",
}
"""Why a message of each phase is sent."""


def phase_of(message: Record) -> Phase:
    """The part of the protocol that a message belongs to."""
    match message:
        case messages.Relay():
            return Phase.REQUEST
        case messages.PrePrepare():
            return Phase.PRE_PREPARE
        case messages.Prepare():
            return Phase.PREPARE
        case messages.Commit():
            return Phase.COMMIT
        case messages.Checkpoint():
            return Phase.CHECKPOINT
        case messages.ViewChange() | messages.NewView():
            return Phase.VIEW_CHANGE
        case messages.Stable() | messages.FetchProposal() | messages.Proposed():
            return Phase.TRANSFER
        case messages.FetchBlocks() | messages.Blocks():
            return Phase.TRANSFER
        case messages.Status():
            return Phase.STATUS
        case messages.Testimony():
            return Phase.EVIDENCE
        case PreparedCertificate() | CheckpointCertificate():
            return Phase.GARBAGE
        case _:
            assert_never(message)


def meaning(message: Record, describer: Describer, group: Group) -> str:
    """What a message says, as one or two sentences."""
    match message:
        case messages.PrePrepare():
            primary = group.primary(message.view)
            who = "the primary" if message.replica == primary else f"not the primary, which is {primary},"
            name = describer.name(message.digest)
            return f"Replica {message.replica}, {who} of view {message.view}, proposes {name} as block {message.seq}."
        case messages.Prepare():
            name = describer.name(message.digest)
            return f"“I accepted {name} as block {message.seq} in view {message.view}.”"
        case messages.Commit():
            name = describer.name(message.digest)
            return f"“A quorum accepted {name} as block {message.seq} in view {message.view}, and I have proof.”"
        case messages.Checkpoint():
            return f"“I executed block {message.seq}, and its hash is {message.block_hash.hex()[:8]}….”"
        case messages.ViewChange():
            kept = every(f"{c.pre_prepare.seq} (prepared in view {c.pre_prepare.view})" for c in message.prepared)
            return (
                f"“I want view {message.view}, with primary {group.primary(message.view)}. Final: blocks up to "
                f"{message.stable_seq}. May be decided: {kept}.”"
            )
        case messages.NewView():
            senders = _replicas(change.replica for change in message.view_changes)
            again = every(f"{p.seq}: {describer.name(p.digest)}" for p in message.pre_prepares)
            return f"“View {message.view} begins; {senders} want it. Proposed again: {again}.”"
        case messages.Status():
            lacks = f" Unfinished: {every(str(slot.seq) for slot in message.slots)}." if message.slots else ""
            wait = (
                ""
                if message.active
                else f", which has not begun (wanted by {_replicas(members(message.view_changes))})"
            )
            place = f"Blocks up to {message.executed} executed, up to {message.stable} final."
            guilty = f" Proven guilty: {_replicas(members(message.convicted))}." if message.convicted else ""
            return f"“I am in view {message.view}{wait}. {place}{lacks}{guilty}”"
        case messages.Relay():
            return f"“Clients gave me this: {describer.batch(tx.payload for tx in message.transactions) or 'nothing'}.”"
        case messages.Stable():
            return f"“Block {message.certificate.seq} is final: here is its certificate.”"
        case messages.FetchProposal():
            return f"“What is {describer.name(message.digest)}, which is to be block {message.seq}?”"
        case messages.Proposed():
            return f"“{describer.proposal(message.proposal)}: what is to be block {message.seq}, in full.”"
        case messages.FetchBlocks():
            return f"“Send me the blocks from {message.first} on.”"
        case messages.Blocks():
            last = message.first + len(message.blocks) - 1
            return f"“Blocks {message.first} to {last}, and the certificate of block {message.certificate.seq}.”"
        case messages.Testimony():
            told = "; ".join(f"replica {m.replica} signed {describer.describe(m)}" for m in message.messages)
            return f"“Draw your conclusions: {told or 'nothing'}.”"
        case PreparedCertificate() | CheckpointCertificate():
            return "A certificate by itself, which is no message."
        case _:
            assert_never(message)


def request_meaning(request: Request, dialogue: Dialogue) -> str:
    """What a client asks for, as a sentence."""
    match request:
        case asking.Submit():
            return f"“Please order this, and prove that you did: {dialogue.submitted(request)}.”"
        case asking.AskFate():
            return f"“What became of {dialogue.transaction(request.tx_id)}?”"
        case asking.AskReceipt():
            return f"“Prove what became of {dialogue.transaction(request.tx_id)}.”"
        case asking.Query():
            proof = ", with proof" if request.certified else ""
            return f"“What is {dialogue.arguments(request.args)} after block {request.minimum} or later{proof}?”"
        case asking.AskHeight():
            return f"“What is the newest block that you have signed, {request.minimum} or later?”"
        case asking.AskBlock():
            return f"“Give me block {request.height}.”"
        case asking.AskBlocks():
            return f"“Give me the headers of the newest blocks, {request.count} at most.”"
        case asking.AskStatus():
            return "“How are you, and who is your primary?”"
        case _:
            assert_never(request)


def reply_meaning(reply: Reply, dialogue: Dialogue, doubt: str) -> str:
    """What a client is answered, as one or two sentences. `doubt`: why it does not believe the proof in it, if so."""
    return f"{_answer(reply, dialogue)}{f' The client does not believe it: {doubt}.' * bool(doubt)}"


def _answer(reply: Reply, dialogue: Dialogue) -> str:
    match reply:
        case asking.Committed():
            some = "; ".join(f"{dialogue.transaction(i.tx_id)}: {dialogue.result(i.result)}" for i in reply.items)
            signers = _replicas(i for i, _ in reply.certificate.signatures)
            return f"“It is in block {reply.header.height}, which {signers} signed. {some or 'Nothing'}.”"
        case asking.Fate():
            name = dialogue.transaction(reply.tx_id)
            return f"“{name} is {reply.state.name.lower()}, as far as I know.” It comes without proof."
        case asking.Refused():
            return "“I do not take it, and it has no effect.” It comes without proof: the client asks others as well."
        case asking.Busy():
            return f"“I have no room: come back in {reply.retry_ms} ms.” The client asks others at once."
        case asking.ReceiptReply():
            return "“Here is its receipt, which anybody can check.”"
        case asking.QueryReply():
            return f"“This is so after block {reply.height}{', and here is the proof' * (reply.proof is not None)}.”"
        case asking.HeightReply():
            return f"“Block {reply.header.height}, and here is its certificate.”"
        case asking.BlockReply():
            return "“Here is the block, and its certificate if it has one.”"
        case asking.BlocksReply():
            return f"“Here are {len(reply.headers)} headers.”"
        case asking.StatusReply():
            return (
                f"“I am in view {reply.view}, led by replica {reply.primary}; blocks up to {reply.executed} executed.” "
                "It is a hint whom to ask first."
            )
        case asking.ErrorReply():
            return "“I cannot answer that.”"
        case _:
            assert_never(reply)


def statement(message: Record) -> tuple[tuple[str, int, int, int], bytes] | None:
    """What a message is about, and what it says about that: no honest replica ever says two things about one.

    None if it may.
    """
    match message:
        case messages.PrePrepare() | messages.Prepare() | messages.Commit():
            about = (type(message).__name__, message.replica, message.view, message.seq)
            return about, message.digest
        case messages.Checkpoint():
            return ("Checkpoint", message.replica, 0, message.seq), message.block_hash
        case messages.ViewChange() | messages.NewView():
            return (type(message).__name__, message.replica, message.view, 0), message.signature
        case _:
            return None


def _replicas(ids: Iterable[int]) -> str:
    listed = [str(i) for i in ids]
    return "nobody" if not listed else f"replica{'s' if len(listed) > 1 else ''} {', '.join(listed)}"
