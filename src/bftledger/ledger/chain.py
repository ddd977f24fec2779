"""Chains: how each header follows from the one before, what a fetched segment proves, and the audit of a whole ledger.

A header is believed if a quorum certified it, or if a chain of hashes leads from it up to one that a quorum certified.
"""

from collections.abc import Sequence

from bftledger.base.errors import BadProof, Malformed
from bftledger.ledger.block import Block, Header
from bftledger.pbft.messages import CheckpointCertificate


def verify_link(previous: Header, header: Header) -> None:
    """Returns if `header` is the successor of `previous`: same group, next height, its hash, a later time.

    Raises `BadProof`.
    """
    height = header.height
    if header.genesis_hash != previous.genesis_hash or header.group_digest != previous.group_digest:
        raise BadProof(f"block {height} is of another group than the block before it")
    if height != previous.height + 1:
        raise BadProof(f"block {height} cannot follow block {previous.height}")
    if header.previous != previous.hash:
        raise BadProof(f"block {height} does not follow the block before it: it names another hash")
    if header.time <= previous.time:
        raise BadProof(f"block {height} is not later than the block before it")


def verify_segment(
    previous: Header, blocks: Sequence[bytes], headers: Sequence[bytes], certificate: CheckpointCertificate
) -> tuple[Block, ...]:
    """The blocks of a BLOCKS message, if they follow `previous` and lead, through `headers`, to what is certified.

    `blocks`: encoded, consecutive, the first on top of `previous`. The certificate's signatures have been checked at
    the door. What the blocks did is not looked at (`Executor.replay` does). Raises `BadProof` or `Malformed`.
    """
    if not blocks:
        raise BadProof("a segment without blocks")
    decoded = []
    tip = previous
    for data in blocks:
        block = Block.decode(data)
        verify_link(tip, block.header)
        decoded.append(block)
        tip = block.header
    verify_way(tip, headers, certificate)
    return tuple(decoded)


def verify_way(header: Header, following: Sequence[bytes], certificate: CheckpointCertificate) -> None:
    """Returns if `following`, encoded headers, lead from `header` to the one that is certified.

    Raises `BadProof` or `Malformed`.
    """
    for data in following:
        successor = Header.decode(data)
        verify_link(header, successor)
        header = successor
    verify_certified(header, certificate)


def verify_certified(header: Header, certificate: CheckpointCertificate) -> None:
    """Returns if the certificate is about this block; its signatures are checked elsewhere. Raises `BadProof`."""
    if certificate.seq != header.height or certificate.block_hash != header.hash:
        raise BadProof(f"the certificate is not about block {header.height}")


def decode_at(data: bytes, height: int) -> Block:
    """A stored block, which must be that of `height`. Raises `BadProof`, naming the height."""
    try:
        block = Block.decode(data)
    except Malformed as error:
        raise BadProof(f"block {height} is damaged: {error}") from None
    if block.height != height:
        raise BadProof(f"block {block.height} stands where block {height} belongs")
    return block
