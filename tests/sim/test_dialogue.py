"""What clients ask and are answered, in words; and what a client would not believe."""

from dataclasses import replace
from typing import get_args

import pytest

from bftledger.apps.machine import Result
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    BlockReply,
    BlocksReply,
    Busy,
    Committed,
    ErrorReply,
    Fate,
    HeightReply,
    Query,
    QueryReply,
    ReceiptReply,
    Refused,
    Reply,
    Request,
    Submit,
    TxState,
)
from bftledger.pbft.messages import Checkpoint
from bftledger.sim.dialogue import Dialogue
from bftledger.sim.meaning import reply_meaning, request_meaning
from tests.engine.engines import Engines

CLIENT = 3
UNKNOWN = TxId(bytes(6) + b"\xab\xcd\xef\x01" + bytes(22))


class Conversation:
    """A group that has ordered a transaction, what it answered, and a dialogue that has read all requests."""

    def __init__(self) -> None:
        self.group = Engines()
        self.tx: Transaction = self.group.transaction("put color blue")
        machine = self.group.machine
        self.dialogue = Dialogue(self.group.genesis, machine, self.group.keys.verifier, machine.show)
        self.requests: list[Request] = [
            Submit(request_id=1, transaction=self.tx.encoded),
            AskFate(request_id=2, tx_id=self.tx.id),
            AskReceipt(request_id=3, tx_id=self.tx.id),
            Query(request_id=4, args=b"color", certified=True, minimum=Seq(1)),
            AskHeight(request_id=5, minimum=Seq(1)),
            AskBlock(request_id=6, height=Seq(1)),
            AskBlocks(request_id=7, count=2),
            AskStatus(request_id=8),
        ]
        for request in self.requests:
            self.dialogue.read_request(CLIENT, client_wire.encode(request))
        self.replies = [self.group.answer(0, request, ms=500) for request in self.requests]

    def reply(self, cls: type[Reply]) -> Reply:
        (found,) = [reply for reply in self.replies if isinstance(reply, cls)]
        return found

    def line(self, reply: Reply) -> str:
        return self.dialogue.reply(CLIENT, reply)


@pytest.fixture(scope="module")
def talk() -> Conversation:
    return Conversation()


def test_every_request_is_a_line_and_a_sentence(talk: Conversation) -> None:
    assert {type(request) for request in talk.requests} == set(get_args(Request))
    assert [talk.dialogue.request(request) for request in talk.requests] == [
        "SUBMIT r1 put color blue",
        "ASK-FATE r2 put color blue",
        "ASK-RECEIPT r3 put color blue",
        "QUERY n1 r4 color, with proof",
        "ASK-HEIGHT n1 r5",
        "ASK-BLOCK n1 r6",
        "ASK-BLOCKS r7 2 at most",
        "ASK-STATUS r8",
    ]
    assert all(request_meaning(request, talk.dialogue).startswith("“") for request in talk.requests)


def test_every_answer_of_an_honest_replica_is_a_line_and_is_believed(talk: Conversation) -> None:
    lines = [talk.line(reply) for reply in talk.replies]

    assert lines[:3] == [
        "COMMITTED n1 r1 put color blue: version 1",
        "FATE n1 r2 put color blue: committed",
        "RECEIPT n1 r3 put color blue: version 1",
    ]
    assert lines[3].startswith("VALUE n1 r4 color: value blue, version 1, height 1")
    assert lines[4:7] == ["HEIGHT n1 r5", "BLOCK n1 r6", "HEADERS n1 to n0 r7"]
    assert lines[7].startswith("STATUS v0 r8 stable n1 executed n1 pending 0")
    assert not [reply for reply in talk.replies if talk.dialogue.doubt(CLIENT, reply)]


def test_answers_without_proof_are_lines_and_nobody_doubts_their_proof(talk: Conversation) -> None:
    hints: list[Reply] = [
        Fate(request_id=2, tx_id=UNKNOWN, state=TxState.EXPIRED, height=Seq(0), reason="too\nlate"),
        Refused(request_id=1, code=64, reason="it is not wanted here"),
        Busy(request_id=1, retry_ms=Millis(50)),
        ErrorReply(request_id=1, text="there is no such thing"),
    ]

    assert {type(reply) for reply in hints + talk.replies} == set(get_args(Reply))
    assert [talk.line(reply) for reply in hints] == [
        "FATE r2 t:abcdef01: expired (too�late)",
        "REFUSED r1 code 64: it is not wanted here",
        "BUSY r1 for 50 ms",
        "ERROR r1 there is no such thing",
    ]
    assert all(reply_meaning(reply, talk.dialogue, "").startswith("“") for reply in hints + talk.replies)


def forgeries(talk: Conversation) -> dict[str, tuple[Reply, str]]:
    """Answers with something false in them, and how their lines begin."""
    committed, receipt, value = talk.reply(Committed), talk.reply(ReceiptReply), talk.reply(QueryReply)
    height, block, blocks = talk.reply(HeightReply), talk.reply(BlockReply), talk.reply(BlocksReply)
    assert isinstance(committed, Committed)
    assert isinstance(receipt, ReceiptReply)
    assert isinstance(value, QueryReply)
    assert isinstance(height, HeightReply)
    assert isinstance(block, BlockReply)
    assert isinstance(blocks, BlocksReply)
    (item,) = committed.items
    other = replace(committed.header, state_root=Digest(bytes(32)))
    lie = Result(0, value=b"a lie").encode()
    return {
        "another result": (replace(committed, items=(item._replace(result=lie),)), "COMMITTED n1 unproven r1 "),
        "another place": (replace(committed, items=(item._replace(position=1),)), "COMMITTED n1 unproven r1 "),
        "no result": (replace(committed, items=(item._replace(result=b""),)), "COMMITTED n1 unproven r1 "),
        "another block": (replace(committed, header=other), "COMMITTED n1 unproven r1 "),
        "half a receipt": (replace(receipt, receipt=receipt.receipt[:50]), "RECEIPT r3 that is none, "),
        "another value": (replace(value, value=b"a lie"), "VALUE n1 unproven r4 color: 5 bytes that are no value"),
        "no proof": (replace(value, proof=None), "VALUE n1 unproven r4 color: value blue"),
        "a height to come": (replace(height, header=replace(height.header, height=Seq(9))), "HEIGHT n9 unproven r5"),
        "no block": (replace(block, block=b""), "BLOCK that is none unproven r6"),
        "no headers": (replace(blocks, headers=()), "HEADERS none unproven r7"),
    }


@pytest.mark.parametrize("name", [*forgeries(Conversation())])
def test_what_is_forged_is_called_unproven_and_the_client_says_why(talk: Conversation, name: str) -> None:
    reply, beginning = forgeries(talk)[name]
    doubt = talk.dialogue.doubt(CLIENT, reply)

    assert talk.line(reply).startswith(beginning)
    assert doubt
    assert reply_meaning(reply, talk.dialogue, doubt).endswith(f" The client does not believe it: {doubt}.")


def test_signatures_of_nobody_prove_nothing(talk: Conversation) -> None:
    committed = talk.reply(Committed)
    assert isinstance(committed, Committed)
    unsigned = replace(committed.certificate, signatures=committed.certificate.signatures[:2])

    assert " unproven " in talk.line(replace(committed, certificate=unsigned))


def test_another_block_than_replicas_spoke_of_is_told_by_its_hash() -> None:
    talk = Conversation()
    committed = talk.reply(Committed)
    assert isinstance(committed, Committed)
    forged = replace(committed, header=replace(committed.header, state_root=Digest(bytes(32))))
    assert " d:" not in talk.line(forged), "nobody has spoken of block 1"

    said = Checkpoint(
        seq=Seq(1),
        block_hash=committed.header.hash,
        replica=ReplicaId(1),
        signature=committed.certificate.signatures[0][1],
    )
    assert talk.dialogue.describe(said) == "CHECKPOINT n1", "what a client was told is no reason to doubt this block"
    assert f"COMMITTED n1 d:{forged.header.hash.hex()[:8]} unproven r1 " in talk.line(forged)
    assert " d:" not in talk.line(committed)


def test_bytes_that_mean_nothing_are_malformed_whoever_sent_them(talk: Conversation) -> None:
    broken = Submit(request_id=9, transaction=b"no transaction")

    assert isinstance(talk.dialogue.read_request(CLIENT, b"\xff"), Malformed)
    assert isinstance(talk.dialogue.read_request(CLIENT, client_wire.encode(broken)), Malformed)
    assert isinstance(talk.dialogue.read_reply(b""), Malformed)


def test_many_transactions_of_one_answer_are_counted(talk: Conversation) -> None:
    committed = talk.reply(Committed)
    assert isinstance(committed, Committed)

    assert talk.line(replace(committed, items=committed.items * 6)).endswith("; and 3 more")
