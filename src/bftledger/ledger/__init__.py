"""The ledger: blocks, what proves them, and the execution that makes them.

Read `merkle`, `block`, `executor`, `chain`, `receipt`, then `client_wire`, the language of clients and replicas.
"""
