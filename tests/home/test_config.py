"""Configurations: what is in range round-trips, what is not is refused in one line that says what is allowed."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.base.errors import OperatorError
from bftledger.base.genesis import MAX_REPLICAS
from bftledger.home.addresses import ReplicaAddresses, check_address, check_bind, local_addresses
from bftledger.home.config import MIN_WINDOW, RANGES, RELATIONS, Config, read_config, write_config
from bftledger.home.template import Template, read_template
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_BATCH_COUNT, MAX_WINDOW, Settings

FOUR = "".join(
    f'[[replica]]\nid = {i}\npeer = "tcp://127.0.0.1:{7000 + 2 * i}"\nclient = "tcp://127.0.0.1:{7001 + 2 * i}"\n'
    for i in range(4)
)
ADDRESSES = tuple(
    ReplicaAddresses.reached_at(f"tcp://127.0.0.1:{7000 + 2 * i}", f"tcp://127.0.0.1:{7001 + 2 * i}") for i in range(4)
)
CONFIGS = Path(__file__).parents[2] / "configs"


def refusal(path: Path, text: str, template: bool = False) -> str:
    path.write_text(text)
    with pytest.raises(OperatorError) as error:
        (read_template if template else read_config)(path)
    found = str(error.value)
    assert "\n" not in found
    assert found.startswith(f"{path}: ")
    return found.removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "group.toml"


def test_every_setting_has_a_range_that_its_default_is_in_and_a_meaning() -> None:
    assert list(RANGES) == [field.name for field in dataclasses.fields(Settings)]
    for name, value in dataclasses.asdict(Settings()).items():
        assert RANGES[name].low <= value <= RANGES[name].high
        assert RANGES[name].meaning


def test_a_batch_fits_a_message_by_far() -> None:
    assert RANGES["batch_bytes"].high * 2 <= MAX_FRAME_BYTES


def test_no_range_allows_what_other_replicas_would_refuse() -> None:
    """What a replica signed with one configuration, all take with any other."""
    assert RANGES["window"].high == MAX_WINDOW
    assert RANGES["batch_count"].high == MAX_BATCH_COUNT
    assert RANGES["batch_bytes"].high == MAX_BATCH_BYTES


def a_file_for(n: int, window: int) -> str:
    replicas = (
        f'[[replica]]\nid = {i}\npeer = "tcp://127.0.0.1:{7000 + 2 * i}"\nclient = "tcp://127.0.0.1:{7001 + 2 * i}"\n'
        for i in range(n)
    )
    return "".join(replicas) + f"[protocol]\nwindow = {window}\npipeline = {MIN_WINDOW}\n"


@pytest.mark.parametrize(("n", "largest"), [(31, 263), (64, 63), (100, 25), (200, 5)])
def test_a_window_whose_new_view_fits_no_message_is_refused(path: Path, n: int, largest: int) -> None:
    path.write_text(a_file_for(n, largest))

    assert read_config(path).protocol.window == largest
    assert refusal(path, a_file_for(n, largest + 1)) == (
        f"protocol.window = {largest + 1}: with {n} replicas it should be at most {largest}: "
        "a NEW-VIEW has to fit a message"
    )


def test_a_template_whose_new_view_fits_no_message_is_refused(path: Path) -> None:
    text = '[group]\nname = "g"\nreplicas = 100\n'

    assert "protocol.window = 64: with 100 replicas it should be at most 25" in refusal(path, text, template=True)
    with pytest.raises(OperatorError, match=r"100 replicas cannot have a window of 64: .* window = 25 or less"):
        Template(replicas=100)


def test_the_smallest_window_is_possible_in_the_largest_group() -> None:
    assert largest_window(MAX_REPLICAS) >= MIN_WINDOW
    assert largest_window(4) == largest_window(13) == MAX_WINDOW


def test_a_file_without_numbers_means_the_defaults(path: Path) -> None:
    path.write_text(FOUR)

    assert read_config(path) == Config(replicas=ADDRESSES, protocol=Settings())


def made_to_fit(numbers: dict[str, int]) -> dict[str, int]:
    """The same with the smaller side of each relation lowered where it must be."""
    fitting = dict(numbers)
    for small, relation, large, _ in reversed(RELATIONS):
        fitting[small] = min(fitting[small], fitting[large] - (relation == "below"))
    return fitting


in_range = st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high, _) in RANGES.items()})


@given(numbers=in_range | in_range.map(made_to_fit))
def test_numbers_in_range_and_relation_round_trip_and_others_are_refused(
    tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, int]
) -> None:
    settings = dataclasses.replace(Settings(), **numbers)  # type: ignore[arg-type]
    config = Config(replicas=ADDRESSES, protocol=settings)
    path = tmp_path_factory.mktemp("config") / "group.toml"
    write_config(path, config)
    related = all(
        numbers[small] < numbers[large] or (relation == "at most" and numbers[small] == numbers[large])
        for small, relation, large, _ in RELATIONS
    )

    if related:
        assert read_config(path) == config
    else:
        with pytest.raises(OperatorError, match=r"it should be (below|at most) \w+, which is \d+"):
            read_config(path)


@given(name=st.sampled_from(sorted(RANGES)), value=st.integers(-(2**63), 2**63 - 1))
def test_a_number_out_of_its_range_is_refused_with_the_range(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: int
) -> None:
    low, high, _ = RANGES[name]
    path = tmp_path_factory.mktemp("config") / "group.toml"
    if low <= value <= high:
        value = high + 1 + value

    text = refusal(path, f"{FOUR}[protocol]\n{name} = {value}\n")

    assert text == f"protocol.{name} = {value}: allowed is a whole number from {low} to {high}"


@pytest.mark.parametrize(("small", "relation", "large"), [relation[:3] for relation in RELATIONS])
def test_each_relation_is_checked_at_its_border(path: Path, small: str, relation: str, large: str) -> None:
    low, high = max(RANGES[small].low, RANGES[large].low), min(RANGES[small].high, RANGES[large].high)
    numbers = {small: high, large: low if relation == "at most" else high}
    text = "".join(f"{name} = {value}\n" for name, value in numbers.items())

    found = refusal(path, f"{FOUR}[protocol]\n{text}")

    assert "it should be" in found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[protocol]\nrequest_timeout = 500", 'unknown key "request_timeout": did you mean request_timeout_ms?'),
        ("[protocol]\nzzzz = 500", 'unknown key "zzzz": known are batch_bytes,'),
        ("[protocl]\nwindow = 64", 'unknown key "protocl": did you mean protocol?'),
        ("[protocol]\nwindow = 6.4", "protocol.window = 6.4: allowed is a whole number from 4 to 1024"),
        ("[protocol]\nwindow = true", "protocol.window = true: allowed is a whole number"),
        ('[protocol]\nwindow = "64"', 'protocol.window = "64": allowed is a whole number'),
        ("[protocol]\nwindow = 1979-05-27", "protocol.window = datetime.date(1979, 5, 27): allowed is"),
        ("[protocol]\nwindow = 1979-25-27", "is not valid TOML"),
        ("[protocol]\nwindow = 64\nwindow = 64", "is not valid TOML"),
        ("[protocol]\nstatus_interval_ms = 500\n", "status_interval_ms = 500: it should be below request_timeout_ms"),
        ("[protocol]\ntimeout_cap_ms = 400\n", "request_timeout_ms = 500: it should be at most timeout_cap_ms"),
    ],
)
def test_a_wrong_protocol_table_is_refused(path: Path, text: str, complaint: str) -> None:
    assert complaint in refusal(path, FOUR + text)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("id = 2", "id = 1", "replica[2].id = 1: the replicas should be in the order of their ids, and 2 is next"),
        ("id = 2\n", "", "replica[2].id is missing"),
        ("tcp://127.0.0.1:7002", "tcp://127.0.0.1:7000", "two sockets have the address tcp://127.0.0.1:7000"),
        ("tcp://127.0.0.1:7002", "127.0.0.1:7002", "an address is tcp://HOST:PORT or ipc:///PATH"),
        ("tcp://127.0.0.1:7002", "tcp://127.0.0.1:70020", "a port is a number from 1 to 65535"),
        ("tcp://127.0.0.1:7002", "tcp://127.0.0.1:0", "a port is a number from 1 to 65535"),
        ("tcp://127.0.0.1:7002", "tcp://0.0.0.0:7002", "0.0.0.0 can only be listened on: put it under peer_bind"),
        ("tcp://127.0.0.1:7002", "tcp://127.0.0.256:7002", "127.0.0.256 is neither an IP address nor a host name"),
        ("tcp://127.0.0.1:7002", "tcp://a host:7002", "a host is neither an IP address nor a host name"),
        ("tcp://127.0.0.1:7002", "tcp://[::g]:7002", "[::g] is neither an IP address nor a host name"),
        ("tcp://127.0.0.1:7002", "tcp://one.example:7002", "write tcp://0.0.0.0:7002 for all, under peer_bind"),
        ("tcp://127.0.0.1:7002", "ipc://relative", "an ipc address names an absolute path"),
        ("tcp://127.0.0.1:7002", "ipc:///" + "x" * 107, "at most 107 bytes"),
        ("peer =", "pear =", "replica[0].peer is missing: it should be the address for its peers"),
        ("id = 3", 'id = 3\npeer_bnid = "tcp://0.0.0.0:1"', 'unknown key "peer_bnid": did you mean peer_bind?'),
        ("id = 3", 'id = 3\npeer_bind = "tcp://one.example:1"', "one listens on an IP address, not on the name"),
    ],
)
def test_a_wrong_replica_is_refused(path: Path, old: str, new: str, complaint: str) -> None:
    assert old in FOUR
    assert complaint in refusal(path, FOUR.replace(old, new))


def test_what_is_not_a_configuration_is_refused(path: Path) -> None:
    assert "names no replica" in refusal(path, "")
    assert "it should be tables, each written [[replica]]" in refusal(path, "replica = 4")
    assert "it should be a table, written [protocol]" in refusal(path, f"protocol = 4\n{FOUR}")
    assert "is not valid TOML" in refusal(path, "{")
    path.write_bytes(b"\xff")
    with pytest.raises(OperatorError, match="is not a text file in UTF-8"):
        read_config(path)


def test_a_replica_may_listen_elsewhere_than_where_it_is_reached(path: Path) -> None:
    reached = ReplicaAddresses(
        peer="tcp://one.example:7000",
        client="tcp://one.example:7001",
        peer_bind="tcp://0.0.0.0:7000",
        client_bind="tcp://[::]:7001",
    )
    config = Config(replicas=(reached, *ADDRESSES[1:]), protocol=Settings())
    write_config(path, config)

    assert read_config(path) == config


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tcp://[2001:db8::1]:65535", "tcp://replica-1.example.net:7000", "ipc:///run/r0"]
)
def test_addresses_of_each_form_are_taken(address: str) -> None:
    assert check_address(address) == address


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for check in (check_address, check_bind):
        with contextlib.suppress(ValueError):
            assert check(text) == text


def test_free_ports_are_all_different() -> None:
    found = local_addresses(7)

    assert len({address for replica in found for address in (replica.peer, replica.client)}) == 14
    assert all(replica.peer.startswith("tcp://127.0.0.1:") for replica in found)


def test_free_ports_are_none_that_an_outgoing_connection_may_be_given() -> None:
    """A peer that keeps trying could otherwise connect to itself at the port of a replica that is down."""
    ports = [
        int(address.rsplit(":", 1)[1]) for replica in local_addresses(7) for address in (replica.peer, replica.client)
    ]

    assert all(10_000 <= port < 32_768 for port in ports)


def test_a_template_says_what_the_group_is(path: Path) -> None:
    path.write_text(
        '[group]\nname = "g"\nreplicas = 5\napp = "accounts"\nmembers = ["key:a"]\nmax_skew_ms = 7\nbase_port = 7000\n'
        '[group.app_params]\nissuers = ["key:a"]\n[protocol]\nwindow = 32\n'
    )

    found = read_template(path)

    assert (found.name, found.replicas, found.app, found.base_port) == ("g", 5, "accounts", 7000)
    assert (found.members, found.app_params) == (("key:a",), {"issuers": ["key:a"]})
    assert found.limits == {"max_skew_ms": 7}
    assert found.protocol.window == 32


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "group is missing"),
        ("[group]\n", "group.name is missing"),
        ('[group]\nname = ""\n', 'group.name = "": it should be a text'),
        ('[group]\nname = "g"\nreplicas = 3\n', "group.replicas = 3: allowed is a whole number from 4 to 200"),
        ('[group]\nname = "g"\nreplica = 4\n', 'unknown key "replica": did you mean replicas?'),
        ('[group]\nname = "g"\nmax_skew = 4\n', 'unknown key "max_skew": did you mean max_skew_ms?'),
        ('[group]\nname = "g"\nmax_skew_ms = -4\n', "group.max_skew_ms = -4: allowed is a whole number from 0"),
        ('[group]\nname = "g"\nbase_port = 80\n', "group.base_port = 80: allowed is a whole number from 1024"),
        ('[group]\nname = "g"\nmembers = [1]\n', "it should be a list of texts"),
        (f'[group]\nname = "g"\nreplicas = 5\n{FOUR}', "there are 4 [[replica]] tables: have one for each, or none"),
        (f'[group]\nname = "g"\nbase_port = 7000\n{FOUR}', "the [[replica]] tables say where replicas are"),
    ],
)
def test_a_wrong_template_is_refused(path: Path, text: str, complaint: str) -> None:
    assert complaint in refusal(path, text, template=True)


@pytest.mark.parametrize(
    ("file", "replicas", "app"),
    [("local-4", 4, "kv"), ("local-7", 7, "kv"), ("lan-4", 4, "kv"), ("accounts-4", 4, "accounts")],
)
def test_the_ready_made_configurations_can_be_read(file: str, replicas: int, app: str) -> None:
    found = read_template(CONFIGS / f"{file}.toml")

    assert (found.name, found.replicas, found.app) == (file, replicas, app)


def test_every_ready_made_configuration_is_tried_above() -> None:
    assert {path.stem for path in CONFIGS.glob("*.toml")} - {"group"} == {"local-4", "local-7", "lan-4", "accounts-4"}
