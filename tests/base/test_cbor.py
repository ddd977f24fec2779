"""CBOR: the items that an array looks at itself, and what is read from a value's beginning alone."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.base import cbor
from bftledger.base.errors import Malformed


@pytest.mark.parametrize("innermost", [[], {}])
def test_an_empty_array_or_map_counts_for_the_depth_like_any_other(innermost: object) -> None:
    value = innermost
    for _ in range(cbor.MAX_DEPTH - 1):
        value = [value]

    assert cbor.decode(cbor.encode(value)) == value
    for beyond in ([value], {"key": value}, [1, value]):
        with pytest.raises(Malformed):
            cbor.decode(cbor2.dumps(beyond, canonical=True))


@pytest.mark.parametrize(
    "data", [bytes.fromhex(data) for data in ("811817", "82181800" + "00", "8118", "821818", "81f800", "81a1", "8181")]
)
def test_what_is_not_canonical_in_an_array_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        cbor.decode(data)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=12))
def test_a_leading_number_is_read_whatever_follows(number: int, rest: bytes) -> None:
    assert cbor.leading_number(cbor.encode(number) + rest) == number


@pytest.mark.parametrize("data", ["", "18", "1817", "190017", "1900", "1c", "20", "40", "80", "a0", "c0", "f4", "ff"])
def test_what_does_not_begin_with_a_number_has_no_leading_one(data: str) -> None:
    assert cbor.leading_number(bytes.fromhex(data)) is None
