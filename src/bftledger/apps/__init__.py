"""Applications: what a group's transactions mean. Read `machine` for the contract, `kv` for the example.

`state` holds what every application reads and writes; `load` finds an application by the name in the genesis.
"""
