"""Transport keys: pairs that ZeroMQ agrees with, and refusal of whatever is not a key."""

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from bftledger.base.errors import OperatorError
from bftledger.net.curve import TransportKey, check_key

KEYS = st.binary(min_size=32, max_size=32).filter(any)


@given(KEYS)
def test_public_key_is_the_one_that_zeromq_derives(secret: bytes) -> None:
    assert z85.encode(TransportKey(secret).public) == zmq.curve_public(z85.encode(secret))


def test_generated_keys_differ() -> None:
    assert TransportKey.generate().secret != TransportKey.generate().secret


def test_secret_is_not_in_the_text_form() -> None:
    key = TransportKey(b"s" * 32)

    assert key.secret.hex()[:8] not in repr(key)
    assert key.public.hex()[:8] in repr(key)


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33, bytes(32), "x" * 32, None, 7])
def test_what_is_not_a_key_is_refused(key: object) -> None:
    with pytest.raises(OperatorError, match="transport key"):
        check_key(key)
    with pytest.raises(OperatorError, match="secret transport key"):
        TransportKey(key)  # type: ignore[arg-type]
