"""The nouns that are numbers or byte strings, told apart for the reader and the type checker."""

from typing import NewType

View = NewType("View", int)
"""A view number, from 0. Its primary is `Group.primary(view)`."""

Seq = NewType("Seq", int)
"""A sequence number, from 1; the same number is the height of the block it decides."""

ReplicaId = NewType("ReplicaId", int)
"""A replica's place in the genesis, 0 … n-1."""

Millis = NewType("Millis", int)
"""Milliseconds: a duration, or a time since the Unix epoch."""

Digest = NewType("Digest", bytes)
"""32 bytes of tagged SHA-256."""

PublicKey = NewType("PublicKey", bytes)
"""32 bytes: an Ed25519 public key."""

Signature = NewType("Signature", bytes)
"""64 bytes: an Ed25519 signature."""

TxId = NewType("TxId", bytes)
"""32 bytes: 6 of creation time in milliseconds, then 26 of the transaction's digest; sorts by time."""
