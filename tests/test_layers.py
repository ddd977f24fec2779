"""The one structural rule that a machine enforces: each layer imports only downwards, siblings never each other.

The lower half also touches nothing that could make two runs differ: no socket, file, clock, thread or randomness.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bftledger

PACKAGE = "bftledger"
SOURCES = Path(bftledger.__file__).parent

LAYERS = (
    ("base",),
    ("pbft", "apps"),
    ("ledger",),
    ("storage", "net", "check"),
    ("engine", "home"),
    ("adversary",),
    ("node", "client", "sim"),
    ("bench",),
    ("cli",),
)
"""From the lowest up; those of one line are siblings."""

NEVER = frozenset({("node", "adversary"), ("client", "adversary")})
"""A production replica cannot load a traitor by accident."""

PURE = frozenset({"base", "pbft", "apps", "ledger", "check", "engine", "adversary", "sim"})

SEEDED = frozenset({"adversary", "sim"})
"""What these decide by chance follows from a seed: they may import `random.Random`, and nothing else of `random`."""

IMPURE = {
    "a clock": {"time", "datetime", "sched"},
    "chance": {"random", "secrets", "uuid", "tempfile", "nacl.utils"},
    "a file": {"os", "io", "pathlib", "shutil", "glob", "fcntl", "mmap", "shelve", "sqlite3", "logging", "sys"},
    "a socket": {"socket", "socketserver", "select", "selectors", "ssl", "http", "urllib", "zmq"},
    "a thread": {
        "threading",
        "concurrent",
        "asyncio",
        "contextvars",
        "multiprocessing",
        "queue",
        "subprocess",
        "signal",
    },
}
"""What a pure layer may not import, by what would come in with it."""


def violations(sources: Path) -> Iterator[str]:
    """One sentence per import that the rules forbid, under the package directory `sources`."""
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    for path in sorted(sources.rglob("*.py")):
        module = path.relative_to(sources).with_suffix("").parts
        if len(module) == 1:
            continue  # the package's own modules are its face, and may show everything
        layer = module[0]
        if layer not in level:
            yield f"{'/'.join(module)} is in no known layer"
            continue
        for line, imported in imports(path, (PACKAGE, *module)):
            target = imported.split(".")
            where = f"{'/'.join(module)}.py:{line}"
            if target == [PACKAGE, "__version__"]:
                continue  # a text, set before the package's face imports anything
            if target[0] == PACKAGE:
                other = target[1] if len(target) > 1 else ""
                if other not in level:
                    yield f"{where} imports {imported}, which is in no layer"
                elif (layer, other) in NEVER:
                    yield f"{where}: {layer} imports {other}, which it never may"
                elif other != layer and level[other] >= level[layer]:
                    yield f"{where}: {layer} imports {other}, which is not below it"
            elif layer in PURE and not (layer in SEEDED and imported == "random.Random"):
                prefixes = {".".join(target[:i]) for i in range(1, len(target) + 1)}
                for what, modules in IMPURE.items():
                    if prefixes & modules:
                        yield f"{where}: {layer} imports {imported}, and with it {what}"


def imports(path: Path, module: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that the file imports: at its top, in functions, under TYPE_CHECKING alike."""
    package = module[:-1]  # of `a/b/__init__.py` as of `a/b/c.py`: a.b
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=source, names=names, level=dots):
                base = package[: len(package) - dots + 1] if dots else ()
                origin = ".".join((*base, *([source] if source else [])))
                for alias in names:
                    yield node.lineno, f"{origin}.{alias.name}"


def test_every_layer_imports_only_downwards_and_siblings_never_one_another() -> None:
    assert list(violations(SOURCES)) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("base/ids.py", "from bftledger.pbft import messages", "base imports pbft, which is not below it"),
        ("pbft/log.py", "from bftledger.apps.kv import Kv", "pbft imports apps, which is not below it"),
        ("net/zmq.py", "import bftledger.storage.sqlite", "net imports storage, which is not below it"),
        ("engine/core.py", "from bftledger.home import files", "engine imports home, which is not below it"),
        ("node/driver.py", "from ..client import client", "node imports client, which is not below it"),
        ("client/client.py", "from bftledger import cli", "client imports cli, which is not below it"),
        ("ledger/block.py", "def f():\n    from bftledger.storage import store", "ledger imports storage"),
        (
            "apps/kv.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bftledger.ledger.block import Block",
            "apps imports ledger, which is not below it",
        ),
        ("base/clock.py", "import time", "base imports time, and with it a clock"),
        ("pbft/timers.py", "from os import urandom", "pbft imports os.urandom, and with it a file"),
        ("apps/kv.py", "import os.path", "apps imports os.path, and with it a file"),
        ("ledger/chain.py", "from pathlib import Path", "ledger imports pathlib.Path, and with it a file"),
        ("engine/core.py", "import threading as t", "engine imports threading, and with it a thread"),
        ("base/crypto.py", "from nacl.utils import random", "base imports nacl.utils.random, and with it chance"),
        ("node/driver.py", "from bftledger.adversary import byzantine", "node imports adversary, which it never may"),
        ("sim/world.py", "from bftledger.node import clock", "sim imports node, which is not below it"),
        ("sim/world.py", "from random import choice", "sim imports random.choice, and with it chance"),
        ("engine/core.py", "from random import Random", "engine imports random.Random, and with it chance"),
        ("bench/group.py", "from bftledger.cli.up import up", "bench imports cli, which is not below it"),
        ("common/things.py", "", "common/things is in no known layer"),
        ("node/driver.py", "import bftledger", "imports bftledger, which is in no layer"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(source)

    found = list(violations(tmp_path))

    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("cli/main.py", "from bftledger.node import driver\nfrom bftledger.base.errors import OperatorError"),
        ("bench/group.py", "from bftledger.client import AsyncClient\nfrom bftledger.node import supervisor"),
        ("node/driver.py", "import time\nfrom bftledger.engine import core\nfrom . import clock"),
        ("pbft/log.py", "from bftledger.pbft import messages\nfrom .messages import Prepare\nimport hashlib"),
        ("__init__.py", "from bftledger.client import client"),
        ("engine/desk.py", "from bftledger import __version__"),
        ("sim/world.py", "from random import Random\nfrom bftledger.adversary import byzantine"),
    ],
)
def test_what_the_rules_allow_is_not_found(tmp_path: Path, file: str, source: str) -> None:
    allowed = tmp_path / file
    allowed.parent.mkdir(parents=True, exist_ok=True)
    allowed.write_text(source)

    assert list(violations(tmp_path)) == []
