"""The client's side under asyncio, against real replicas' sockets served by the same loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey
from bftledger.net.dealer import ClientConnection, ReplicaAddress
from bftledger.net.options import Limits
from bftledger.net.transport import FromClient
from bftledger.net.zmq import ZmqTransport
from tests.net.wires import DEADLINE_S, Wires

ZERO, ONE = ReplicaId(0), ReplicaId(1)


def address(wires: Wires, replica: int, transport: ZmqTransport) -> ReplicaAddress:
    return ReplicaAddress(transport.client_endpoint, wires.keys[replica].public)


async def echo(*transports: ZmqTransport, copies: int = 1) -> None:
    """Answers each request with the number of the transport and the request, `copies` times."""
    while True:
        for number, transport in enumerate(transports):
            transport.wait(0)
            for request in transport.drain():
                assert isinstance(request, FromClient)
                for _ in range(copies):
                    transport.send_client(request.route, b"%d:%b" % (number, request.frame))
        await asyncio.sleep(0)


def run(conversation: Callable[[], Awaitable[None]], *transports: ZmqTransport, copies: int = 1) -> None:
    async def main() -> None:
        server = asyncio.create_task(echo(*transports, copies=copies))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await conversation()
        finally:
            server.cancel()
            with suppress(asyncio.CancelledError):
                await server

    asyncio.run(main())


def test_answers_name_the_replica_they_are_from(wires: Wires) -> None:
    zero, one = wires.replica(0), wires.replica(1)

    async def conversation() -> None:
        async with ClientConnection({ZERO: address(wires, 0, zero), ONE: address(wires, 1, one)}) as connection:
            assert connection.send(ONE, b"b")
            assert connection.send(ZERO, b"a")
            answers = {await connection.receive(), await connection.receive()}

        assert answers == {(ZERO, b"0:a"), (ONE, b"1:b")}

    run(conversation, zero, one)


def test_every_one_of_many_answers_arrives_in_order(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(client_send_queue=2000))

    async def conversation() -> None:
        async with ClientConnection({ZERO: address(wires, 0, replica)}) as connection:
            for number in range(1000):
                assert connection.send(ZERO, b"%d" % number)
            answers = [await connection.receive() for _ in range(1000)]

        assert answers == [(ZERO, b"0:%d" % number) for number in range(1000)]

    run(conversation, replica)


def test_program_that_reads_slowly_holds_a_bounded_number_of_answers_and_gets_them_all(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(client_send_queue=2000))

    async def conversation() -> None:
        limits = Limits(request_queue=16)
        async with ClientConnection({ZERO: address(wires, 0, replica)}, limits) as connection:
            connection.send(ZERO, b"x")
            for _ in range(500):
                assert await connection.receive() == (ZERO, b"0:x")
                assert connection.waiting <= 16

    run(conversation, replica, copies=500)


def test_cancelled_receive_loses_nothing(wires: Wires) -> None:
    replica = wires.replica(0)

    async def conversation() -> None:
        async with ClientConnection({ZERO: address(wires, 0, replica)}) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.receive(), 0.001)
            connection.send(ZERO, b"x")

            assert await connection.receive() == (ZERO, b"0:x")

    run(conversation, replica)


def test_request_to_an_absent_replica_waits_until_the_queue_is_full(wires: Wires) -> None:
    async def conversation() -> None:
        nobody = ReplicaAddress(f"ipc://{wires.directory}/nobody", TransportKey.generate().public)
        async with ClientConnection({ZERO: nobody}, Limits(request_queue=3)) as connection:
            assert [connection.send(ZERO, b"x") for _ in range(5)] == [True] * 3 + [False] * 2
            assert connection.dropped == 2

    run(conversation)


def test_server_without_the_replicas_key_gets_and_says_nothing(wires: Wires) -> None:
    honest, impostor = wires.replica(0), wires.replica(1)

    async def conversation() -> None:
        misled = ReplicaAddress(impostor.client_endpoint, wires.keys[0].public)
        replicas = {ZERO: address(wires, 0, honest), ReplicaId(2): misled}
        async with ClientConnection(replicas) as connection:
            connection.send(ReplicaId(2), b"secret")
            connection.send(ZERO, b"x")

            assert await connection.receive() == (ZERO, b"0:x")
        assert impostor.traffic.received == 0

    run(conversation, honest, impostor)


def test_closing_ends_a_waiting_receive(wires: Wires) -> None:
    replica = wires.replica(0)

    async def conversation() -> None:
        connection = ClientConnection({ZERO: address(wires, 0, replica)})
        waiting = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        connection.close()
        connection.close()

        with pytest.raises(ConnectionError, match="closed"):
            await waiting
        with pytest.raises(ConnectionError, match="closed"):
            connection.send(ZERO, b"x")

    run(conversation, replica)


def test_bad_key_or_address_is_refused(wires: Wires) -> None:
    async def conversation() -> None:
        good = TransportKey.generate().public
        with pytest.raises(OperatorError, match="transport key of replica 1"):
            ClientConnection({ZERO: ReplicaAddress("tcp://127.0.0.1:1", good), ONE: ReplicaAddress("tcp://x:1", b"k")})
        with pytest.raises(OperatorError, match="write tcp://HOST:PORT"):
            ClientConnection({ZERO: ReplicaAddress("localhost", good)})

    run(conversation)
