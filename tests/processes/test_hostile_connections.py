"""What strangers can do to running replicas: cost them a little time, and nothing else."""

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import zmq
from zmq.utils.monitor import recv_monitor_message

from bftledger.base.ids import Digest, ReplicaId, Seq
from bftledger.client import Outcome
from bftledger.ledger.client_messages import AskBlock, AskBlocks, AskHeight, AskStatus, Submit
from bftledger.ledger.client_wire import encode
from bftledger.net.curve import TransportKey
from tests.processes.group import ALL, DEADLINE_S, Observer, Processes

SEED = 20_240_229
FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_DISCONNECTED,
    zmq.EVENT_CLOSED,
)


class Stranger:
    """A raw CURVE socket to one endpoint of a replica, and what its handshakes came to."""

    def __init__(self, kind: int, endpoint: str, server_key: bytes, key: TransportKey) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.linger = 0
        self.socket.sndtimeo = self.socket.rcvtimeo = round(DEADLINE_S * 1_000)
        self.socket.curve_serverkey = server_key
        self.socket.curve_publickey, self.socket.curve_secretkey = key.public, key.secret
        self._monitor = self.socket.get_monitor_socket()
        self.socket.connect(endpoint)

    def handshake(self) -> bool:
        """Waits for the first handshake to end: whether it succeeded."""
        while self._monitor.poll(DEADLINE_S * 1_000):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return True
            if event in FAILED:
                return False
        raise AssertionError("the handshake does not end")

    def close(self) -> None:
        self.socket.disable_monitor()
        self._context.destroy(0)


@contextmanager
def connected(group: Processes, kind: int, side: str, replica: int, key: TransportKey) -> Iterator[Stranger]:
    endpoint = getattr(group.home.config.replicas[replica], side)
    with closing(Stranger(kind, endpoint, group.home.genesis.replicas[replica].transport_key, key)) as stranger:
        yield stranger
