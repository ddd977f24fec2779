"""What `import bftledger` offers, and what it costs."""

import subprocess
import sys

import bftledger


def test_every_public_name_can_be_had_and_is_documented() -> None:
    for name in bftledger.__all__:
        assert getattr(bftledger, name).__doc__, name
    assert set(bftledger.__all__) <= set(dir(bftledger))


def test_the_table_of_sources_is_the_list_of_public_names() -> None:
    listed = sorted(name for names in bftledger._SOURCES.values() for name in names)

    assert listed == sorted(bftledger.__all__)


def test_importing_the_package_imports_none_of_its_layers() -> None:
    code = "import sys, bftledger; print([name for name in sys.modules if name.startswith('bftledger.')])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"
