"""A group's home directory: where its genesis, keys, configuration, ledgers and running processes are kept.

Read `files`, `tables`, `keys`, `config`, `home` in this order. Replicas and clients both start here.
"""
