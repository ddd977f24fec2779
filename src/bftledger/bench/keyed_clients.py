"""The clients of a benchmark (`clients`) that put to as many keys as are wanted, instead of to a few thousand.

    python -m bftledger.bench.keyed_clients KEYS NUMBER

A client puts to any of KEYS keys, each as likely as any other. NUMBER tells apart loads that follow one another with
the same clients: what one draws next says nothing of what it drew in the load before.
"""

import asyncio
import json
import random
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bftledger.apps import kv_payload
from bftledger.base import cbor
from bftledger.base.genesis import Genesis
from bftledger.bench.clients import Clients, Job
from bftledger.bench.group import Module
from bftledger.bench.payloads import make_payloads
from bftledger.client import AsyncClient
from bftledger.home.home import Home

_KEY_BYTES: Final = 8


def module(keys: int, number: int) -> Module:
    """What a process with such clients runs."""
    return ("bftledger.bench.keyed_clients", str(keys), str(number))


def key(number: int) -> bytes:
    """The key of that number, from 0: 8 bytes."""
    return number.to_bytes(_KEY_BYTES, "big")


def value_bytes(size: int) -> int:
    """How long the value is in a put of `size` bytes to such a key. Raises ValueError if there is no such put."""
    said = kv_payload.decode(make_payloads(size, 1, random.Random(0))[0])
    assert isinstance(said, tuple), "it is a single operation"
    return len(said[1]) + len(said[3]) - _KEY_BYTES


def keyed_payloads(size: int, keys: int, chance: random.Random) -> list[bytes]:
    """A put to each of so many keys, in any order: of `size` bytes, or one less where no value makes it just so long.

    Raises ValueError if no put is so short.
    """
    length = value_bytes(size)
    payloads = [cbor.encode(["put", key(i), chance.randbytes(length)]) for i in range(keys)]
    chance.shuffle(payloads)
    return payloads


class KeyedClients(Clients):
    """All clients of this process."""

    def __init__(self, job: Job, genesis: Genesis, keys: int, number: int) -> None:
        super().__init__(job, genesis)
        chance = random.Random(f"{job.seed}/{job.first}/{number}")
        self._payloads = keyed_payloads(job.size, keys, chance)


async def _main(job: Job, keys: int, number: int) -> None:
    home = Home.open(Path(job.home))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(AsyncClient.open(home)) for _ in range(job.connections)]
        seen = await KeyedClients(job, home.genesis, keys, number).run(connections)
        print(json.dumps(seen.to_json()), flush=True)


def main() -> None:
    """The process: a closed loop, told on standard input what to do as `clients` is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it, and will end it
    keys, number = (int(text) for text in sys.argv[1:])
    asyncio.run(_main(Job(**json.loads(sys.stdin.readline())), keys, number))


if __name__ == "__main__":
    main()
