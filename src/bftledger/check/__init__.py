"""The oracles: what must be true of a group, however its replicas, its network and its clients behaved.

Each works on plain data and knows nothing of where that came from, so the simulator, the tests with real processes, the
benches and `audit` ask the same questions. An oracle shares no code with what it judges, and never raises: it returns
`Violation`s, a bounded number of them, each one line that says what is wrong and where.

`agreement`: one chain for all. `durability`: what was acknowledged stays. `integrity`: a chain is what it says it is.
`promises`: no honest key signs two different things. `new_views`: a
new view proposes again what was prepared. `history`, `models`, `linearizability`, `witness`: clients cannot
tell the group from one machine. `expiry`: nothing expires before its time. `fates`: what a client is told of a
transaction is so. `admission`: a block holds only what it may. `progress`: after healing everything is
answered in time. `bounds`: nothing grows without limit.
"""
