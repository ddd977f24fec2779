"""The command line: `bftledger`, one file per group of commands.

`main` is where it starts and where errors become one line and an exit status. `options` and `output` are what all
commands share: where the home is, and answers for people (a terminal or a pipe) and for programs (`--json`).
"""
