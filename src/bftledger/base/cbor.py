"""Deterministic CBOR (RFC 8949 §4.2.1) over `cbor2`, and nothing that is not deterministic.

The profile is smaller than the RFC's: unsigned and negative integers of at most 64 bits, byte and text
strings, arrays, maps with text keys, false, true and null. Each value has exactly one encoding, so equal
bytes and equal values are the same thing. Bytes are walked by `check_canonical` before the library sees them;
its decoder therefore never meets a tag, a float, a bignum, an indefinite length, or a length that lies.
"""

from typing import Any, Final

import cbor2

from bftledger.base.errors import Malformed

MAX_DEPTH: Final = 16
"""Arrays and maps nest at most this deep."""

MAX_ITEMS: Final = 16_384
"""Arrays and maps of one value hold at most so many items together, so that no input takes long to walk."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""No encoded value is longer, whatever the caller allows."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
# Most items are small numbers and byte strings shorter than 65536: an array looks at them itself, which is what makes
# the walk fast. And at the shortest of all others, or hostile input full of these would be the slowest to walk for its
# length. The numbers are initial bytes (RFC 8949 §3).
_EMPTY_ARRAY: Final = 0x80
_EMPTY_MAP: Final = 0xA0
_NUMBER_OF_ONE_BYTE: Final = 0x18
_SHORT_ARRAY_STARTS: Final = 0x80
_SHORT_ARRAY_ENDS: Final = 0x98
_STRING_OF_ONE_BYTE_LENGTH: Final = 0x58
_STRING_OF_TWO_BYTE_LENGTH: Final = 0x59
_LENGTH_AT_THE_BOTTOM: Final = bytes(
    [
        1
        if (argument < 24 and major <= _NEGATIVE) or (major == _SIMPLE and 20 <= argument <= 22)
        else 1 + argument
        if argument < 24 and major in (_BYTES, _TEXT)
        else 0
        for major in range(8)
        for argument in range(32)
    ]
)
"""How long the item is that has this initial byte, if that says it all; else 0. Of items that may nest no deeper,"""

_LENGTH_OF_SHORT: Final = bytes(
    [1 if head in (_EMPTY_ARRAY, _EMPTY_MAP) else length for head, length in enumerate(_LENGTH_AT_THE_BOTTOM)]
)
"""and of all others."""
_FIRST_VALUE_OF_WIDTH: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}


def encode(value: Any) -> bytes:
    """The one encoding of `value`.

    Takes None, bool, int (64 bits), bytes, str, list or tuple, and dict with str keys. Raises `Malformed` for
    anything else, so that whatever this returns, `decode` accepts.
    """
    data = encode_known(value)
    check_canonical(data)
    return data


def encode_known(value: Any) -> bytes:
    """The same for a value whose types and ranges the caller has made sure of, as every message and block has.

    Not looked at again: half of the work. What is not in the profile is not found here, but by whoever decodes it.
    """
    try:
        return cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"cannot be encoded: {error}") from None


def bytes_head(length: int) -> bytes:
    """What stands before the bytes of a byte string that has so many, less than 2^32."""
    if length < 24:
        return bytes((_BYTES << 5 | length,))
    if length < 1 << 8:
        return bytes((_BYTES << 5 | 24, length))
    if length < 1 << 16:
        return b"\x59" + length.to_bytes(2, "big")
    return b"\x5a" + length.to_bytes(4, "big")


def decode(data: bytes, max_bytes: int = MAX_BYTES, *, max_items: int = MAX_ITEMS) -> Any:
    """The value whose one encoding is `data`; arrays come back as lists.

    Raises `Malformed` for every other input: too long, too many items, truncated, trailing bytes, too deep, a longer
    head than needed, indefinite lengths, tags (bignums among them), floats, duplicate or unsorted keys, invalid UTF-8.
    """
    check_canonical(data, max_bytes, max_items=max_items)
    return decode_checked(data)


def decode_checked(data: bytes | memoryview) -> Any:
    """The same for what `check_canonical` has walked: all of it, or one of its `parts`. Raises `Malformed`."""
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError):
        raise Malformed("a text is not UTF-8") from None  # all else has been walked


def check_canonical(data: bytes, max_bytes: int = MAX_BYTES, *, max_items: int = MAX_ITEMS) -> None:
    """Returns if `data` is exactly one value of the profile in its one encoding; raises `Malformed` if not."""
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, at most {max_bytes} allowed")
    try:
        end = _check_item(data, 0, MAX_DEPTH, [max_items])
    except IndexError:
        raise Malformed("truncated") from None
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes follow the value")


def split(data: bytes, max_bytes: int = MAX_BYTES, *, max_items: int = MAX_ITEMS) -> list[memoryview]:
    """The encodings of the items of a short array (less than 24), in place: what is large is not copied.

    All of it is checked as by `check_canonical`. Raises `Malformed`, also if it is no short array.
    """
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, at most {max_bytes} allowed")
    if not data or not _SHORT_ARRAY_STARTS <= data[0] < _SHORT_ARRAY_ENDS:
        raise Malformed("a short array was expected")
    try:
        found = _items(data, [max_items])
    except IndexError:
        raise Malformed("truncated") from None
    if (length := 1 + sum(map(len, found))) != len(data):
        raise Malformed(f"{len(data) - length} bytes follow the value")
    return found


def parts(data: bytes | memoryview) -> list[memoryview]:
    """The same for an array of any length that has been checked already. Raises `Malformed` if it is no array."""
    if data[0] >> 5 != _ARRAY:
        raise Malformed("an array was expected")
    return _items(data, [MAX_ITEMS])


def _items(data: bytes | memoryview, budget: list[int]) -> list[memoryview]:
    view = memoryview(data)
    count, at = _argument(data)
    _take(budget, count)
    found = []
    for _ in range(count):
        end = _check_item(data, at, MAX_DEPTH - 1, budget)
        found.append(view[at:end])
        at = end
    return found


def content(data: memoryview) -> memoryview:
    """What is in a byte string that has been checked, in place. Raises `Malformed` if it is none."""
    if data[0] >> 5 != _BYTES:
        raise Malformed("a byte string was expected")
    return data[_argument(data)[1] :]


def leading_number(data: bytes | memoryview) -> int | None:
    """The unsigned number that `data` begins with, in its one encoding; else None. What follows is not looked at."""
    if not data or data[0] >> 5 != _UNSIGNED:
        return None
    try:
        _check_item(data, 0, 0, [0])
    except Malformed:
        return None
    return _argument(data)[0]


def _argument(data: bytes | memoryview) -> tuple[int, int]:
    """The count or length in the head of a checked item, and where the head ends."""
    argument = data[0] & 31
    if argument < 24:
        return argument, 1
    end = 1 + (1 << (argument - 24))
    return int.from_bytes(data[1:end], "big"), end


def _check_item(data: bytes | memoryview, at: int, depth: int, budget: list[int]) -> int:
    """Checks the item that starts at `at` and returns where it ends; takes what it holds from `budget`."""
    head = data[at]
    major, argument = head >> 5, head & 31
    at += 1
    if argument >= 24:
        if argument > 27 or major == _SIMPLE:
            raise Malformed(f"initial byte {head:#04x} is not in the profile")
        width = 1 << (argument - 24)
        least = _FIRST_VALUE_OF_WIDTH[argument]
        argument = int.from_bytes(data[at : at + width], "big")
        at += width
        if argument < least:
            # A cut-off argument reads as a smaller number, so truncation is refused here or by the length below.
            raise Malformed("a number or length is not in its shortest form, or truncated")
    if major <= _TEXT:
        end = at if major <= _NEGATIVE else at + argument
    elif major == _ARRAY:
        if depth == 0:
            raise Malformed(f"nested deeper than {MAX_DEPTH}")
        _take(budget, argument)
        lengths = _LENGTH_OF_SHORT if depth > 1 else _LENGTH_AT_THE_BOTTOM
        end = at
        for _ in range(argument):
            head = data[end]
            if length := lengths[head]:
                end += length
            elif head == _STRING_OF_ONE_BYTE_LENGTH and data[end + 1] >= 24:
                end += 2 + data[end + 1]
            elif head == _STRING_OF_TWO_BYTE_LENGTH and data[end + 1]:
                end += 3 + (data[end + 1] << 8 | data[end + 2])
            elif head == _NUMBER_OF_ONE_BYTE and data[end + 1] >= 24:
                end += 2
            else:
                end = _check_item(data, end, depth - 1, budget)
    elif major == _MAP:
        end = _check_map(data, at, argument, depth, budget)
    elif major == _SIMPLE and 20 <= argument <= 22:
        end = at
    else:
        raise Malformed(f"initial byte {head:#04x} is not in the profile")
    if end > len(data):
        raise Malformed("truncated")
    return end


def _take(budget: list[int], items: int) -> None:
    budget[0] -= items
    if budget[0] < 0:
        raise Malformed("too many items")


def _check_map(data: bytes | memoryview, at: int, pairs: int, depth: int, budget: list[int]) -> int:
    if depth == 0:
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    _take(budget, 2 * pairs)
    previous = b""
    for _ in range(pairs):
        if data[at] >> 5 != _TEXT:
            raise Malformed("a map key is not text")
        value_at = _check_item(data, at, depth - 1, budget)
        key = bytes(data[at:value_at])
        if key <= previous:
            raise Malformed("map keys are not unique and sorted")
        previous = key
        at = _check_item(data, value_at, depth - 1, budget)
    return at
