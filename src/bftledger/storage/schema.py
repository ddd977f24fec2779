"""The file format of a store: an SQLite database that any SQLite tool can read.

The tables hold what the protocol needs, the views are for people. `application_id` says what the file is,
`user_version` the version of this format, and `meta` whose it is. To look into a store:
`sqlite3 -readonly ledger.db 'SELECT * FROM chain ORDER BY height DESC LIMIT 10'`.
"""

from typing import Final

APPLICATION_ID: Final = int.from_bytes(b"bftl", "big")
FORMAT: Final = 2
MAGIC: Final = b"SQLite format 3\0"

GENESIS_HASH: Final = "genesis_hash"
REPLICA: Final = "replica"

TABLES: Final = {
    # Whose store this is: genesis_hash (32 bytes) and replica (its id).
    "meta": """
        CREATE TABLE meta (
            name TEXT PRIMARY KEY,
            value ANY NOT NULL
        ) STRICT, WITHOUT ROWID""",
    # The replica's promises and the certificates it needs to keep them. VIEW-CHANGE and NEW-VIEW have seq 0,
    # CHECKPOINT has view 0. A PRE-PREPARE is kept without its proposal.
    "votes": """
        CREATE TABLE votes (
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            view INTEGER NOT NULL,
            frame BLOB NOT NULL,
            PRIMARY KEY (seq, kind, view)
        ) STRICT, WITHOUT ROWID""",
    # What the PRE-PREPAREs propose: once, however many views propose it again.
    "proposals": """
        CREATE TABLE proposals (
            seq INTEGER NOT NULL,
            digest BLOB NOT NULL,
            proposal BLOB NOT NULL,
            PRIMARY KEY (seq, digest)
        ) STRICT, WITHOUT ROWID""",
    # What convicts other replicas: one piece for each rule that one of them broke (`pbft.guilt`).
    "evidence": """
        CREATE TABLE evidence (
            replica INTEGER NOT NULL,
            rule TEXT NOT NULL,
            proof BLOB NOT NULL,
            PRIMARY KEY (replica, rule)
        ) STRICT, WITHOUT ROWID""",
    # The ledger. `time` is in milliseconds since the epoch; `header` is repeated in `block`.
    "blocks": """
        CREATE TABLE blocks (
            height INTEGER PRIMARY KEY,
            hash BLOB NOT NULL,
            time INTEGER NOT NULL,
            transactions INTEGER NOT NULL,
            header BLOB NOT NULL,
            block BLOB NOT NULL
        ) STRICT""",
    # The proofs that blocks are final. A replica that caught up may lack some.
    "certificates": """
        CREATE TABLE certificates (
            height INTEGER PRIMARY KEY,
            frame BLOB NOT NULL
        ) STRICT""",
    # The COMMITs that decided the newest blocks: a TESTIMONY of this replica's. In a fork they convict.
    "decisions": """
        CREATE TABLE decisions (
            height INTEGER PRIMARY KEY,
            frame BLOB NOT NULL
        ) STRICT""",
    # Where each transaction stands: `position` counts from 0 within the block.
    "transactions": """
        CREATE TABLE transactions (
            id BLOB PRIMARY KEY,
            height INTEGER NOT NULL,
            position INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
    # The Merkle tree over all block hashes: level 0 is the leaves.
    "history": """
        CREATE TABLE history (
            level INTEGER NOT NULL,
            position INTEGER NOT NULL,
            hash BLOB NOT NULL,
            PRIMARY KEY (level, position)
        ) STRICT, WITHOUT ROWID""",
    # The application's state after the newest block.
    "state": """
        CREATE TABLE state (
            key BLOB PRIMARY KEY,
            value BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
}

VIEWS: Final = {
    "chain": """
        CREATE VIEW chain AS
        SELECT
            b.height,
            lower(hex(b.hash)) AS hash,
            strftime('%Y-%m-%dT%H:%M:%fZ', b.time / 1000.0, 'unixepoch') AS time,
            b.transactions,
            length(b.block) AS bytes,
            c.height IS NOT NULL AS certified
        FROM blocks AS b LEFT JOIN certificates AS c USING (height)""",
    "promises": """
        CREATE VIEW promises AS
        SELECT seq, view, kind, length(frame) AS bytes FROM votes""",
    "transaction_places": """
        CREATE VIEW transaction_places AS
        SELECT lower(hex(id)) AS id, height, position FROM transactions""",
}

SCHEMA: Final = {name: sql.strip() for name, sql in (TABLES | VIEWS).items()}
"""What `sqlite_schema` of an undamaged store holds: each name with the statement that made it."""
