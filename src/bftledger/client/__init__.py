"""The Python client: submits transactions and reads the ledger, and believes no single replica without proof.

    async with AsyncClient.open("my-group", key="alice") as client:
        outcome = await client.submit("put", "color", "blue")
        print(outcome, (await client.query("color")).value)

`AsyncClient` is for asyncio programs and has many transactions in flight at once; `Client` offers the same methods to
programs without an event loop, and to several of their threads. What is sent to whom, when and what is believed is
decided by `ledger.session`, without any I/O.
"""

from bftledger.client.client import AsyncClient
from bftledger.client.reader import Reader, Reading
from bftledger.client.sync import Client
from bftledger.ledger.outcome import NoAnswer, NoQuorum, NotCommitted, NotFound, Outcome, State

__all__ = [
    "AsyncClient",
    "Client",
    "NoAnswer",
    "NoQuorum",
    "NotCommitted",
    "NotFound",
    "Outcome",
    "Reader",
    "Reading",
    "State",
]
