"""The clients for programs, over real sockets: what they return, raise, and believe."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bftledger.apps.machine import Rejected
from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis, Seq
from bftledger.client import AsyncClient, Client, NoAnswer, NotFound, State
from bftledger.home.home import init
from bftledger.home.keys import new_client_key
from bftledger.home.template import Template
from bftledger.ledger.client_messages import (
    BlockReply,
    BlocksReply,
    HeightReply,
    Query,
    QueryReply,
    Reply,
    Request,
)
from tests.client.fake_group import ALICE, ALL, GENESIS, FakeGroup, alive_but, nothing
from tests.client.served import ServedGroup

DEADLINE_S = 20.0
SOON_S = 0.3
"""A time-out that is meant to pass."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedGroup]:
    with ServedGroup(FakeGroup(), tmp_path) as group:
        yield group


def run(
    served: ServedGroup,
    conversation: Callable[[AsyncClient], Awaitable[None]],
    *,
    timeout: float = 10.0,
    patience: float = 5.0,
) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(DEADLINE_S),
            AsyncClient(GENESIS, served.addresses, ALICE, timeout=timeout, patience=patience) as client,
        ):
            await conversation(client)

    asyncio.run(main())


def lying(group: FakeGroup, lie: Callable[[Reply], Reply]) -> Callable[[Request], Iterable[Reply]]:
    return lambda request: [lie(reply) for reply in group.honest(request)]


# ── transactions ──


def test_submitted_words_are_committed_and_read_back(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        served.group.behave[0] = None
        with served.lock:
            transaction = served.group.transaction("put color blue")
        outcome = await client.submit_transaction(transaction)
        reading = await client.query("color")

        assert outcome.ok
        assert client.show(reading)["value"] == "blue"
        assert reading.height == outcome.height
        assert reading.proof is not None
        assert (await client.receipt(transaction.id)).encode() == outcome.raise_for_state().encode()
        assert (await client.fate(transaction.id)).ok

    run(served, conversation, patience=SOON_S)


def test_hundreds_of_transactions_are_under_way_at_once(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        with served.lock:
            transactions = [served.group.transaction(f"put key{i} {i}") for i in range(300)]
        outcomes = await asyncio.gather(*(client.submit_transaction(transaction) for transaction in transactions))

        assert [outcome.tx_id for outcome in outcomes] == [transaction.id for transaction in transactions]
        assert all(outcome.ok for outcome in outcomes)

    run(served, conversation)


def test_new_transactions_are_distinct_and_live_as_long_as_asked(served: ServedGroup) -> None:
    client = AsyncClient(GENESIS, served.addresses, ALICE)
    one, two = client.make_transaction("put", "a", "1"), client.make_transaction("put", "a", "1", lifetime=2.5)

    assert one.id != two.id
    assert one.expires - one.created == 60_000
    assert two.expires - two.created == 2_500
    assert one.payload == client.machine.parse(["put", "a", "1"])
    assert client.make_transaction(b"raw").payload == b"raw"


def test_transaction_needs_a_signer_and_words_that_mean_something(served: ServedGroup) -> None:
    with pytest.raises(OperatorError, match="needs a key"):
        AsyncClient(GENESIS, served.addresses).make_transaction("put", "a", "1")
    with pytest.raises(OperatorError, match="not understood"):
        AsyncClient(GENESIS, served.addresses, ALICE).make_transaction("paint", "it", "black")


def test_client_without_a_quorum_says_so_and_names_the_transaction(served: ServedGroup) -> None:
    served.group.behave = {0: None, 1: None, 2: alive_but(nothing), 3: alive_but(nothing)}

    async def conversation(client: AsyncClient) -> None:
        outcome = await client.submit("put", "a", "1")

        assert outcome.state is State.NO_QUORUM
        assert "only 2 of 4 replicas answer" in str(outcome)
        assert outcome.tx_id.hex() in str(outcome)

    run(served, conversation, timeout=SOON_S)


def test_receipt_of_an_unknown_transaction_is_not_found(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        with pytest.raises(NotFound, match="no replica knows"):
            await client.receipt(served.group.transaction().id)

    run(served, conversation)


# ── reads ──


def test_reads_of_a_group_without_blocks_are_checked_against_its_genesis(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        reading = await client.query("color", read="linearizable")

        assert (reading.value, reading.height) == (None, 0)
        assert await client.height() == 0
        assert [header.height for header in await client.blocks()] == [0]
        assert (await client.block(0)).hash == served.group.genesis_block.hash

    run(served, conversation)


def test_value_that_is_made_up_is_asked_for_elsewhere(served: ServedGroup) -> None:
    group = served.group
    for height in range(2):
        group.decide(group.transaction(f"put color {height}"))

    def lie(reply: Reply) -> Reply:
        return replace(reply, value=b"red") if isinstance(reply, QueryReply) else reply

    group.behave[0] = lying(group, lie)

    async def conversation(client: AsyncClient) -> None:
        assert client.show(await client.query("color"))["value"] == "1"
        assert client.dropped["unproven"] == 1

    run(served, conversation)


def test_linearizable_read_is_not_older_than_what_a_quorum_has_signed(served: ServedGroup) -> None:
    group = served.group
    for height in range(3):
        group.decide(group.transaction(f"put color {height}"))
    asked: list[int] = []

    def behind(request: Request) -> Iterable[Reply]:
        """Answers with an old, certified state, whatever it is asked."""
        if isinstance(request, Query):
            asked.append(request.minimum)
            return [group.read(request.request_id, request.args, 1)]
        return [
            group.height_reply(request.request_id, 1) if isinstance(reply, HeightReply) else reply
            for reply in group.honest(request)
        ]

    group.behave[0] = behind

    async def conversation(client: AsyncClient) -> None:
        assert client.show(await client.query("color"))["value"] == "0"
        assert client.show(await client.query("color", read="linearizable"))["value"] == "2"
        assert await client.height() == 3

    run(served, conversation)
    assert asked[0] == 0


def test_local_read_is_what_one_replica_says(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        reading = await client.query("color", read="local")

        assert (reading.value, reading.proof, reading.replica) == (b"hearsay", None, 0)

    run(served, conversation)


def test_query_that_means_nothing_is_not_sent(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        with pytest.raises(OperatorError, match="not understood"):
            await client.query("get", "a", "b")
        with pytest.raises(Rejected):
            await client.query(b"")
        with pytest.raises(OperatorError, match="heights start at 0"):
            await client.query("a", minimum=-1)

    run(served, conversation)


def test_read_at_a_height_that_does_not_come_has_no_answer(served: ServedGroup) -> None:
    async def conversation(client: AsyncClient) -> None:
        with pytest.raises(NoAnswer, match="4 of 4 replicas answer, but not with what was asked for"):
            await client.query("color", minimum=7)
        served.group.behave = dict.fromkeys(range(4))
        with pytest.raises(NoAnswer, match="none of the 4 replicas answers"):
            await client.query("color")
        with pytest.raises(NoAnswer, match="no quorum: only 0 of 4 replicas answer, 3 are needed"):
            await client.height()

    run(served, conversation, timeout=SOON_S)


def test_block_is_certified_or_linked_to_one_that_is(served: ServedGroup) -> None:
    group = served.group
    for height in range(1, 6):
        group.decide(group.transaction(f"put color {height}"))
    group.uncertified = {2, 3}

    async def conversation(client: AsyncClient) -> None:
        for height in range(1, 6):
            assert (await client.block(height)).hash == group.stored[height].executed.block.hash
        with pytest.raises(NotFound, match="there is no block 6"):
            await client.block(6)

    run(served, conversation)


def test_block_without_a_certificate_is_not_taken_from_a_liar(served: ServedGroup) -> None:
    group = served.group
    for height in range(1, 4):
        group.decide(group.transaction(f"put color {height}"))
    group.uncertified = {1, 2}
    forged = FakeGroup()
    forged.decide(forged.transaction("put color red"))

    def lie(reply: Reply) -> Reply:
        if isinstance(reply, BlockReply) and reply.certificate is None:
            return replace(reply, block=forged.stored[1].executed.block.encoded)
        return reply

    group.behave[0] = lying(group, lie)

    async def conversation(client: AsyncClient) -> None:
        assert (await client.block(1)).hash == group.stored[1].executed.block.hash

    run(served, conversation)


def test_newest_headers_form_a_certified_chain(served: ServedGroup) -> None:
    group = served.group
    for height in range(1, 6):
        group.decide(group.transaction(f"put color {height}"))

    async def conversation(client: AsyncClient) -> None:
        assert [header.height for header in await client.blocks(3)] == [5, 4, 3]
        assert [header.height for header in await client.blocks(10)] == [5, 4, 3, 2, 1, 0]
        with pytest.raises(OperatorError, match="1 to 256"):
            await client.blocks(0)

    run(served, conversation)


def test_headers_above_the_certified_one_are_left_out(served: ServedGroup) -> None:
    group = served.group
    for height in range(1, 6):
        group.decide(group.transaction(f"put color {height}"))
    group.uncertified = {5}

    def certified_at_four(request: Request) -> Iterable[Reply]:
        return [
            group.height_reply(request.request_id, 4) if isinstance(reply, HeightReply) else reply
            for reply in group.honest(request)
        ]

    group.behave = dict.fromkeys(range(4), certified_at_four)

    async def conversation(client: AsyncClient) -> None:
        assert [header.height for header in await client.blocks(3)] == [4, 3, 2]

    run(served, conversation)


def test_chain_with_a_foreign_header_is_asked_for_elsewhere(served: ServedGroup) -> None:
    group = served.group
    for height in range(1, 4):
        group.decide(group.transaction(f"put color {height}"))

    def lie(reply: Reply) -> Reply:
        if isinstance(reply, BlocksReply):
            bent = replace(reply.headers[1], time=Millis(reply.headers[1].time - 1))
            return replace(reply, headers=(reply.headers[0], bent, *reply.headers[2:]))
        return reply

    group.behave[0] = lying(group, lie)

    async def conversation(client: AsyncClient) -> None:
        headers = await client.blocks(3)

        assert [header.hash for header in headers] == [group.stored[h].executed.block.hash for h in (3, 2, 1)]
        assert client.dropped["unproven"] == 1

    run(served, conversation)


def test_status_has_a_row_for_each_replica_and_none_for_the_silent(served: ServedGroup) -> None:
    served.group.behave[2] = None

    async def conversation(client: AsyncClient) -> None:
        found = await client.status(timeout=SOON_S)

        assert list(found) == list(ALL)
        assert [reply is not None and reply.replica for reply in found.values()] == [0, 1, False, 3]

    run(served, conversation)


def test_garbage_is_counted_and_dropped(served: ServedGroup) -> None:
    def garbage(replica: int, frame: bytes) -> list[bytes]:
        return [b"", b"\xff" * 9, *honest(replica, frame)]

    honest = served.group.answer
    served.group.answer = garbage  # type: ignore[method-assign]

    async def conversation(client: AsyncClient) -> None:
        assert (await client.submit_transaction(served.group.transaction())).ok
        assert client.dropped["malformed"] >= 2

    run(served, conversation)


# ── opening and closing ──


def test_closing_ends_what_is_under_way(served: ServedGroup) -> None:
    served.group.behave = dict.fromkeys(range(4))

    async def main() -> None:
        client = AsyncClient(GENESIS, served.addresses, ALICE)
        with pytest.raises(RuntimeError, match="not open"):
            await client.height()
        async with client:
            submitting = asyncio.create_task(client.submit("put", "a", "1"))
            await asyncio.sleep(0)
        with pytest.raises(ConnectionError, match="closed"):
            await submitting
        await client.close()
        with pytest.raises(RuntimeError, match="not open"):
            await client.height()

    asyncio.run(main())


def test_one_address_for_each_replica_is_needed() -> None:
    with pytest.raises(OperatorError, match="3 addresses for 4 replicas"):
        AsyncClient(GENESIS, ["tcp://127.0.0.1:1"] * 3)


def test_program_without_an_event_loop_has_the_same_methods(served: ServedGroup) -> None:
    transaction = served.group.transaction("put key0 0")
    with Client(GENESIS, served.addresses, ALICE) as client:
        outcome = client.submit_transaction(transaction)

        assert outcome.ok
        assert client.fate(outcome.tx_id).ok
        assert client.receipt(outcome.tx_id).header.height == 1
        assert client.show(client.query("key0"))["value"] == "0"
        assert client.height() == Seq(1)
        assert client.block(1).height == 1
        assert len(client.blocks(5)) == 2
        assert len(client.status()) == 4
        assert client.make_transaction("put", "a", "1").sender == ALICE.public_key
        assert client.genesis is GENESIS
        assert client.machine.name == "kv"


def test_threads_share_one_client(served: ServedGroup) -> None:
    transactions = [served.group.transaction(f"put key{i} {i}") for i in range(64)]
    with Client(GENESIS, served.addresses, ALICE) as client, ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(client.submit_transaction, transactions))

    assert all(outcome.ok for outcome in outcomes)


def test_closing_the_client_wakes_the_threads_that_wait(served: ServedGroup) -> None:
    served.group.behave = dict.fromkeys(range(4))
    asked = threading.Event()

    def silent(_: Request) -> list[Reply]:
        asked.set()
        return []

    served.group.behave[0] = silent
    with ThreadPoolExecutor(1) as pool:
        with Client(GENESIS, served.addresses, ALICE) as client:
            waiting = pool.submit(client.submit, "put", "a", "1")
            assert asked.wait(DEADLINE_S)
        with pytest.raises(ConnectionError, match="closed"):
            waiting.result(DEADLINE_S)
    with pytest.raises(RuntimeError, match="not open"):
        client.height()
    client.close()


def test_client_of_a_home_finds_its_group_and_key_there(tmp_path: Path) -> None:
    home = init(tmp_path / "home", Template(), created=Millis(1))
    key = new_client_key(home.client_keys_path, "alice", None)
    client = AsyncClient.open(home.path, "alice")

    assert client.genesis.genesis_hash == home.genesis.genesis_hash
    assert client.signer is not None
    assert client.signer.public_key == key.public_key
    assert Client.open(home).genesis.genesis_hash == home.genesis.genesis_hash
    with pytest.raises(OperatorError, match="there is no key bob"):
        AsyncClient.open(home, "bob")
    with pytest.raises(OperatorError, match="does not exist"):
        AsyncClient.open(tmp_path / "nowhere")
