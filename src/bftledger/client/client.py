"""The client under asyncio: sockets, clock and futures around `ledger.session`, which makes all decisions."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, cast

from bftledger.apps.load import load_machine
from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Ed25519Verifier, Signer, Verifier
from bftledger.base.errors import BadProof, OperatorError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import NONCE_BYTES, Transaction
from bftledger.base.transaction import sign as sign_transaction
from bftledger.home.home import Home
from bftledger.home.keys import read_client_key
from bftledger.ledger.block import Block, Header
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskHeight,
    AskStatus,
    BlockReply,
    BlocksReply,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    Reply,
    Request,
    StatusReply,
)
from bftledger.ledger.client_wire import MAX_SUMMARIES
from bftledger.ledger.evidence import Evidence
from bftledger.ledger.outcome import NoAnswer, NotFound, Outcome
from bftledger.ledger.question import Answers, Judge, Question
from bftledger.ledger.receipt import Receipt
from bftledger.ledger.session import Action, Done, Send, Session
from bftledger.ledger.submission import Asking, FateQuestion, Submission, Timing
from bftledger.net.dealer import ClientConnection, ReplicaAddress

A = TypeVar("A")

Read = Literal["certified", "linearizable", "local"]

DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_LIFETIME_S: Final = 60.0
STATUS_TIMEOUT_S: Final = 1.0
_UNPROVEN_RUN: Final = 256
"""So many blocks in a row without a certificate anywhere are looked through for one that has one."""
