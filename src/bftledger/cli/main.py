"""The entry point: parses the command line, runs the command, turns whatever goes wrong into one line and a status.

Exit status: 0 if what was asked happened; 1 if not; 2 if the command line makes no sense; 3 if a transaction's fate is
not known yet; 70 for a defect of this program; 130 after Ctrl-C.
"""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer
from typer.exceptions import TyperException

from bftledger import __version__
from bftledger.base.errors import BftLedgerError
from bftledger.cli import (
    audit,
    bench,
    demo,
    evidence,
    init,
    keys,
    output,
    reads,
    receipts,
    replicas,
    sim,
    status,
    submit,
    up,
)
from bftledger.cli.options import NO_HOME, GlobalHomeOption, JsonOption, examples

DEBUG_VARIABLE: Final = "BFTLEDGER_DEBUG"
INTERRUPTED: Final = 130
DEFECT: Final = 70
USAGE: Final = output.USAGE
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of a disk that is full, or as full as one may fill it: nobody's defect."""

app = typer.Typer(
    name="bftledger",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "bftledger demo                    see it work",
        "bftledger up --detach             make and start a group",
        "bftledger key new alice --insecure",
        "bftledger submit put color blue",
        "bftledger get color",
        "bftledger receipt ID -o r.cbor    a proof of it, and",
        "bftledger verify r.cbor           how anyone checks it",
        "bftledger down",
    ),
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"bftledger {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _bftledger(
    context: typer.Context,
    home: GlobalHomeOption = NO_HOME,
    json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A Byzantine-fault-tolerant ledger: a group of replicas that agree on one order of signed transactions.

    A group lives in a home, a directory that one command makes. Its replicas are processes, on one machine or on many;
    fewer than a third of them may lie or fail, and nothing that was acknowledged is lost or changed.

    Exit status: 0 if what was asked happened, 1 if not, 2 for a command line that makes no sense, 3 if a transaction's
    fate is not known yet.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


for _module in (init, up, replicas, status, submit, reads, receipts, audit, demo, bench, sim):
    _module.register(app)
app.add_typer(keys.app, name="key")
app.add_typer(evidence.app, name="evidence", short_help="Proof that a replica is faulty, and how to check it.")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line (the process's own, if it is None) and returns the exit status."""
    return run_app(app, "bftledger", arguments)


def run_app(app: typer.Typer, name: str, arguments: Sequence[str] | None = None) -> int:
    """Runs a command line of the application that is installed under `name`, and returns the exit status."""
    try:
        try:
            result = app(arguments, prog_name=name, standalone_mode=False)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()  # nobody reads on
            return output.NOT_DONE
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            _drop_output()
            raise output.NotDone(f"cannot write what is to be said: {error.strerror}") from None
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        typer.echo(err=True)
        return INTERRUPTED
    except output.NotDone as error:
        return _fail(name, str(error), error.status)
    except BftLedgerError as error:
        return _fail(name, str(error), output.NOT_DONE)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else name
        return _fail(name, f"{error.format_message().rstrip('.')} (see {command} --help)", error.exit_code)
    except Exception as error:  # noqa: BLE001  (the last resort: a defect is one line, too)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        return _fail(
            name,
            f"this is a defect of the program, please report it: {type(error).__name__}: {error} "
            f"({DEBUG_VARIABLE}=1 shows where)",
            DEFECT,
        )


def main() -> NoReturn:
    """What the installed command calls."""
    prepare_streams()
    sys.exit(run())


def prepare_streams() -> None:
    """Makes standard output and standard error take any text."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(io.UnsupportedOperation):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # whatever the terminal cannot show


def _drop_output() -> None:
    """What the interpreter still holds for standard output must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(name: str, text: str, status: int) -> int:
    with contextlib.suppress(OSError):
        output.console(stderr=True).print(
            f"{name}: {output.printable(' '.join(text.split()))}", style=output.BAD if sys.stderr.isatty() else None
        )
    return status


if __name__ == "__main__":
    main()
