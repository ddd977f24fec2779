"""Room for connections: who only connects keeps nobody out, and a replica has one connection at a time."""

import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey
from bftledger.net.options import Limits, connect_to_peer, connect_to_replica, listen
from bftledger.net.transport import FromClient, FromPeer
from bftledger.net.zmq import ZmqTransport
from tests.net.wires import Socket, Wires, a_client, receive, until

ZERO, ONE = ReplicaId(0), ReplicaId(1)
EIGHT = Limits(clients=8)
AT_ONCE = Limits(peer_connections_per_second=100)


def connected(wires: Wires, replica: ZmqTransport, source: str = "") -> Socket:
    client = a_client(wires, replica, source, comes_back=False)
    until(lambda: client.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), replica)
    return client


def who_asked(wires: Wires, replica: ZmqTransport, source: str = "") -> Socket:
    client = connected(wires, replica, source)
    ask(client, replica)
    return client


def ask(client: Socket, replica: ZmqTransport) -> None:
    client.raw.send(b"request")
    assert [incoming.frame for incoming in receive(replica)] == [b"request"]


def as_replica_one(wires: Wires, replica: ZmqTransport) -> Socket:
    """A connection of replica 1 that is not made again by itself."""
    sender = wires.socket(zmq.PUSH, replica.peer_endpoint, server=wires.keys[0], key=wires.keys[1])
    sender.raw.reconnect_ivl = -1
    return sender.connect()


def test_connections_that_ask_nothing_lock_nobody_out(wires: Wires) -> None:
    replica = wires.replica(0, limits=EIGHT)
    idle = [a_client(wires, replica) for _ in range(3 * EIGHT.clients)]
    until(lambda: replica.traffic.evicted_connections > 0, replica)
    client = a_client(wires, replica)
    client.raw.send(b"let me in")

    assert [incoming.frame for incoming in receive(replica)] == [b"let me in"]
    assert len(replica._client_connections) <= EIGHT.clients
    assert len(idle) > EIGHT.clients


def test_who_has_asked_stays_when_others_only_connect(wires: Wires) -> None:
    replica = wires.replica(0, limits=EIGHT)
    clients = [who_asked(wires, replica) for _ in range(6)]
    for _ in range(10):
        connected(wires, replica)

    assert not any(client.saw(zmq.EVENT_DISCONNECTED) for client in clients)
    assert replica.traffic.evicted_connections == 8
    for client in clients:
        ask(client, replica)


def test_who_has_asked_makes_room_for_the_new_when_silent_longest(wires: Wires) -> None:
    replica = wires.replica(0, limits=EIGHT)
    silent, *others = [who_asked(wires, replica) for _ in range(8)]
    for client in others:
        ask(client, replica)
    newcomer = who_asked(wires, replica)
    until(lambda: silent.saw(zmq.EVENT_DISCONNECTED), replica)

    assert not any(client.saw(zmq.EVENT_DISCONNECTED) for client in (*others, newcomer))


def test_address_with_many_connections_displaces_its_own(wires: Wires) -> None:
    replica = wires.replica(0, limits=EIGHT)
    silent = who_asked(wires, replica, "127.0.0.2")
    many = [who_asked(wires, replica) for _ in range(12)]
    until(lambda: replica.traffic.evicted_connections == 5, replica)

    assert not silent.saw(zmq.EVENT_DISCONNECTED)
    until(lambda: sum(client.saw(zmq.EVENT_DISCONNECTED) for client in many) == 5, replica)


def test_client_that_leaves_makes_room(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(clients=2))
    first = who_asked(wires, replica)
    second = who_asked(wires, replica)
    first.raw.close()
    until(lambda: len(replica._client_connections) == 1, replica)
    who_asked(wires, replica)

    assert replica.traffic.evicted_connections == 0
    ask(second, replica)


def test_a_connection_ends_by_the_route_of_its_frames_and_no_other_does(wires: Wires) -> None:
    replica = wires.replica(0)
    first, second = who_asked(wires, replica), who_asked(wires, replica)
    first.raw.send(b"again")
    (incoming,) = receive(replica)
    assert isinstance(incoming, FromClient)

    replica.end_client(incoming.route)
    until(lambda: first.saw(zmq.EVENT_DISCONNECTED), replica)
    until(lambda: len(replica._client_connections._open) == 1, replica)
    replica.end_client(incoming.route)
    replica.end_client(b"nobody")

    assert replica.traffic.counters()["connections ended"] == 1
    assert not second.saw(zmq.EVENT_DISCONNECTED)
    ask(second, replica)


def test_unfinished_connections_do_not_pile_up(wires: Wires) -> None:
    replica = wires.replica(0, limits=EIGHT)
    for _ in range(20):
        wires.plain_connection(replica.client_endpoint)
    until(lambda: replica.traffic.evicted_connections == 12, replica)

    assert len(replica._client_connections) == EIGHT.clients


def test_newer_connection_of_a_replica_ends_the_older_one(wires: Wires) -> None:
    replica = wires.replica(0, limits=AT_ONCE)
    older = as_replica_one(wires, replica)
    older.raw.send(b"from the older")
    assert receive(replica) == [FromPeer(ONE, b"from the older")]
    newer = as_replica_one(wires, replica)
    newer.raw.send(b"from the newer")
    assert receive(replica) == [FromPeer(ONE, b"from the newer")]
    until(lambda: older.saw(zmq.EVENT_DISCONNECTED), replica)
    newer.raw.send(b"and again")

    assert receive(replica) == [FromPeer(ONE, b"and again")]
    assert replica.traffic.replaced_connections == 1


def test_of_many_connections_with_one_replicas_key_one_lives(wires: Wires) -> None:
    replica = wires.replica(0, limits=AT_ONCE)
    many = [as_replica_one(wires, replica) for _ in range(10)]
    for sender in many:
        sender.raw.send(b"vote")

    assert receive(replica, 10) == [FromPeer(ONE, b"vote")] * 10
    until(lambda: len(replica._peer_connections) == 1, replica)


def test_older_connection_that_speaks_last_is_the_one_that_ends(wires: Wires) -> None:
    replica = wires.replica(0, limits=AT_ONCE)
    older = as_replica_one(wires, replica)
    until(lambda: older.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED), replica)
    newer = as_replica_one(wires, replica)
    newer.raw.send(b"from the newer")
    assert receive(replica) == [FromPeer(ONE, b"from the newer")]
    older.raw.send(b"from the older")
    assert receive(replica) == [FromPeer(ONE, b"from the older")]
    until(lambda: older.saw(zmq.EVENT_DISCONNECTED), replica)
    newer.raw.send(b"and again")

    assert receive(replica) == [FromPeer(ONE, b"and again")]


def test_replica_that_makes_many_connections_waits(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(peer_connections_per_second=1))
    first, second = as_replica_one(wires, replica), as_replica_one(wires, replica)
    until(lambda: replica.traffic.refused_connections > 0, replica)

    assert not (first.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED) and second.saw(zmq.EVENT_HANDSHAKE_SUCCEEDED))


def test_strangers_at_the_peers_socket_displace_no_replica(wires: Wires) -> None:
    replica = wires.replica(0, limits=Limits(peer_newcomers=1))
    one = as_replica_one(wires, replica)
    one.raw.send(b"vote")
    assert receive(replica) == [FromPeer(ONE, b"vote")]
    for _ in range(30):
        wires.plain_connection(replica.peer_endpoint)
    until(lambda: replica.traffic.evicted_connections > 0, replica)
    one.raw.send(b"vote")

    assert receive(replica) == [FromPeer(ONE, b"vote")]
    assert not one.saw(zmq.EVENT_DISCONNECTED)


def test_no_socket_sends_zmtp_heartbeats() -> None:
    """libzmq 4.3.5 aborts when one falls due on a connection that broke while its input was stopped."""
    key, server = TransportKey.generate(), TransportKey.generate().public
    with zmq.Context() as context:
        for kind, domain in ((zmq.PULL, "peers"), (zmq.ROUTER, "clients")):
            with context.socket(kind) as socket:
                listen(socket, key, domain, Limits())
                assert socket.heartbeat_ivl == 0
        for connect in (connect_to_peer, connect_to_replica):
            with context.socket(zmq.PUSH) as socket:
                connect(socket, key, server, Limits())
                assert socket.heartbeat_ivl == 0
