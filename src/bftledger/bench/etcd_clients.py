"""Closed-loop clients of etcd: one process with many of them, as `clients` is one with many of ours.

They put the same keys and values as ours do, over gRPC (`grpc.aio`) on one channel. A transaction is one PutRequest,
or one TxnRequest of several, of bytes that were encoded beforehand; its latency is the time from before the call until
etcd's answer is there. Started by `etcd`, which says on standard input what to do:

    → {"address": …, "clients": …, …}         the job, one line of JSON
    ← {"ready": true}                         connected, and etcd has answered a put of every client
    → {"begin": …, "start": …, "end": …}      when the loops begin, and the window to measure, on the monotonic clock
    ← {"commits": …, …}                       what happened since the beginning; then the process ends
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bftledger.apps import kv_payload
from bftledger.bench.clients import Seen
from bftledger.bench.payloads import make_payloads
from bftledger.bench.protobuf import PUT, TXN, put_request, txn_request

Put = Callable[[bytes, float], Awaitable[str | None]]
"""Sends a PutRequest and waits so many seconds at most; how it failed, None if it did not."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process does. `size`: bytes of the operation ["put", key, value] that ours would send for the same.

    `operations`: so many make a request.
    """

    address: str
    clients: int
    size: int
    operations: int
    seed: int
    timeout_s: float


def requests(size: int, operations: int, seed: int) -> list[bytes]:
    """A request for each transaction that our own clients draw from: the same keys and values.

    A PutRequest for a single operation, a TxnRequest for several.
    """
    found = [kv_payload.decode(payload) for payload in make_payloads(size, operations, random.Random(seed))]
    return [_put(one) if isinstance(one, tuple) else txn_request(map(_put, one)) for one in found]


def _put(operation: kv_payload.Operation) -> bytes:
    _, key, _, value = operation
    return put_request(key, value)


async def work(job: Job, put: Put) -> Seen:
    """Says that it is ready, hears when to begin, and lets every client finish."""
    puts = requests(job.size, job.operations, job.seed)
    chances = [random.Random(f"{job.seed}/{i}") for i in range(job.clients)]
    failed = [how for how in await asyncio.gather(*(put(puts[0], job.timeout_s) for _ in chances)) if how]
    if failed:
        raise SystemExit(f"bench: etcd does not take a put: {failed[0]}")
    print(json.dumps({"ready": True}), flush=True)
    window = await asyncio.to_thread(_hear)
    end, seen = window["end"], Seen()

    async def closed_loop(chance: random.Random) -> None:
        while (begun := time.monotonic()) < end:
            how = await put(chance.choice(puts), job.timeout_s)
            done = time.monotonic()
            if how is None:
                seen.begun.append(begun)
                seen.done.append(done)
            else:
                seen.failures.append((done, how))

    await asyncio.sleep(window["begin"] - time.monotonic())
    loops = [asyncio.create_task(closed_loop(chance)) for chance in chances]
    await asyncio.sleep(window["start"] - time.monotonic())
    cpu = time.process_time()
    await asyncio.sleep(end - time.monotonic())
    seen.cpu_s = time.process_time() - cpu
    await asyncio.gather(*loops)
    return seen


async def _main(job: Job) -> None:
    grpc: Any = import_module("grpc.aio")  # an optional dependency, without types
    async with grpc.insecure_channel(job.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(PUT if job.operations == 1 else TXN)  # no serializers: bytes go and come as they are

        async def put(request: bytes, timeout_s: float) -> str | None:
            try:
                await call(request, timeout=timeout_s)
            except grpc.AioRpcError as error:
                return f"{error.code().name.lower()}: {error.details()}"
            return None

        print(json.dumps((await work(job, put)).to_json()), flush=True)


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("bench: whoever started these clients is gone")
    heard: dict[str, Any] = json.loads(line)
    return heard


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it, and will end it
    asyncio.run(_main(Job(**_hear())))


if __name__ == "__main__":
    main()
