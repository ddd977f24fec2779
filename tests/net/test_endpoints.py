"""Addresses that cannot be had: one line that names the address and says what to do."""

import socket
from pathlib import Path

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from tests.net.wires import Wires


def test_port_taken_by_another_program_is_named(wires: Wires) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OperatorError, match=f"^{address} is already in use: stop the process"):
            wires.replica(0, peer_bind=address)


def test_ipc_path_taken_by_a_running_replica_is_named_and_left_alone(wires: Wires) -> None:
    address = f"ipc://{wires.directory}/peers"
    running = wires.replica(0, peer_bind=address)
    with pytest.raises(OperatorError, match="is already in use"):
        wires.replica(1, peer_bind=address)

    assert running.peer_endpoint == address
    assert (wires.directory / "peers").is_socket()


def test_ipc_path_left_by_a_killed_replica_is_used_again(wires: Wires) -> None:
    path = wires.directory / "peers"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))

    assert wires.replica(0, peer_bind=f"ipc://{path}").peer_endpoint == f"ipc://{path}"


def test_file_at_an_ipc_path_is_not_removed(wires: Wires) -> None:
    path = wires.directory / "notes.txt"
    path.write_text("do not lose me")
    with pytest.raises(OperatorError, match="is a file and not a socket"):
        wires.replica(0, peer_bind=f"ipc://{path}")

    assert path.read_text() == "do not lose me"


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("127.0.0.1:7001", "write tcp://HOST:PORT"),
        ("udp://127.0.0.1:7001", "write tcp://HOST:PORT"),
        ("inproc://zeromq.zap.01", "write tcp://HOST:PORT"),
        ("tcp://", "write tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "write tcp://HOST:PORT"),
        ("tcp://127.0.0.1:99999", "write tcp://HOST:PORT"),
        ("tcp://192.0.2.1:7001", "is not an address of this host"),
        (f"ipc:///tmp/{'x' * 200}", "choose a shorter path"),
        ("ipc:///no/such/directory/peers", "make it, or choose another path"),
    ],
)
def test_address_that_cannot_be_one_is_refused(wires: Wires, address: str, advice: str) -> None:
    with pytest.raises(OperatorError, match=advice) as refusal:
        wires.replica(0, peer_bind=address)

    assert address in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1", "udp://127.0.0.1:7001", f"ipc:///tmp/{'x' * 200}"])
def test_address_of_a_peer_that_cannot_be_one_is_refused(wires: Wires, address: str) -> None:
    with pytest.raises(OperatorError, match=r"write tcp://HOST:PORT|choose a shorter path"):
        wires.replica(0).connect(ReplicaId(1), address)


def test_refused_transport_leaves_its_other_address_free(wires: Wires, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/peers"
    with pytest.raises(OperatorError):
        wires.replica(0, peer_bind="tcp://192.0.2.1:7001")

    assert wires.replica(0, peer_bind=address).peer_endpoint == address
