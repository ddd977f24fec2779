"""The oracles: what must be true of a group, however its replicas, its network and its clients behaved.

Each works on plain data and knows nothing of where that came from, and never raises: it returns `Violation`s, a bounded
number of them, each one line that says what is wrong and where.

`agreement`: one chain for all. `durability`: what was acknowledged stays. `integrity`, `admission`: a chain is what it
says it is; a block holds only what it may. `promises`: no honest key signs two different things. `new_views`: a new
view proposes again what was prepared. `evidence`: it convicts nobody who is honest. `history`, `models`,
`linearizability`, `witness`: clients cannot tell the group from one machine. `expiry`: nothing expires before its time.
`fates`: what a client is told of a transaction is so. `progress`: after healing everything is answered in time.
`duties`: who has to vote does. `bounds`: nothing grows without limit. `ledgers`, `answers`: what they ask for, made of
blocks and of what the client library answers. `verdict`: those together that judge ledgers and clients.

Who asks. The simulator: all of them. The tests with real processes: of stores and of what clients of the library saw,
all but `progress`, `duties` and `bounds`, for which somebody has to watch from within (`tests/processes/verdict.py`).
The benches that attack and kill: agreement, durability, integrity, witness, evidence, and progress by a bound of their
own. The command `audit`: agreement; what is wrong within one store it says itself, row by row (`storage.audit`).

What is judged is not asked. An oracle has its rules from the paper and from docs/formats.md, and shares with what it
judges the encodings, the primitives and the names of things. Four use more: `integrity` executes a chain again with
the code that made it (`ledger.audit`), which is why `admission` has rules of its own; `progress` takes the time-outs
that its bound is made of from the core (`pbft.timers`, `pbft.transfer`); `duties` and `bounds` read the core's state.
"""
