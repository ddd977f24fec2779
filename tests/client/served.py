"""A fake group behind real sockets: one thread per replica, which ends with the test."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from bftledger.net.transport import FromClient
from bftledger.net.zmq import ZmqTransport
from tests.client.fake_group import ALL, TRANSPORT, FakeGroup


class ServedGroup:
    """`addresses` are what a client connects to; `group` may be changed while `lock` is held."""

    def __init__(self, group: FakeGroup, directory: Path) -> None:
        self.group = group
        self.lock = threading.Lock()
        self._stopping = threading.Event()
        self._transports = [
            ZmqTransport(
                key=TRANSPORT[i],
                peers={j: TRANSPORT[j].public for j in ALL if j != i},
                peer_bind=f"ipc://{directory}/peer-{i}",
                client_bind=f"ipc://{directory}/client-{i}",
            )
            for i in ALL
        ]
        self._threads = [threading.Thread(target=self._serve, args=(i,)) for i in ALL]

    @property
    def addresses(self) -> list[str]:
        return [transport.client_endpoint for transport in self._transports]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for transport, thread in zip(self._transports, self._threads, strict=True):
            transport.wake()
            thread.join()
            transport.close()

    def _serve(self, replica: int) -> None:
        transport = self._transports[replica]
        while not self._stopping.is_set():
            transport.wait(1_000)
            for request in transport.drain():
                assert isinstance(request, FromClient)
                with self.lock:
                    frames = self.group.answer(replica, request.frame)
                for frame in frames:
                    transport.send_client(request.route, frame)
