"""What a replica must not forget: its votes, the ledger, and the application's state.

Read `store` (what is promised), `sqlite` (how it is kept), `memory` (the same for tests), then `audit`.
"""
