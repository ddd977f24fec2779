"""bftledger: a Byzantine-fault-tolerant ledger."""

__version__ = "0.1.0"
