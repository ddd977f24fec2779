"""The declared errors: everything that may cross a layer is one of these.

Three kinds of wrong are kept apart. What a peer or client sent and is wrong raises `Malformed`,
`BadSignature` or `BadProof` at the door. What an operator did raises `OperatorError`, whose text is one
line that says what to do. What can be neither is an `AssertionError`: a defect of this program.
"""


class BftLedgerError(Exception):
    """The root of every error this package raises on purpose."""


class Malformed(BftLedgerError):
    """Bytes that are not the canonical encoding of what they should be, or a field out of its range."""


class BadSignature(BftLedgerError):
    """A signature that is not the named key's over exactly these bytes, for whatever reason."""


class BadProof(BftLedgerError):
    """A certificate, inclusion path, receipt or chain that does not prove what it claims."""


class OperatorError(BftLedgerError):
    """A mistake in a home, a file, a key or a setting: one line that says what is wrong and what to do."""


class StoreError(OperatorError):
    """A store that is damaged, of another format, or of another group. The replica must not vote on it."""
