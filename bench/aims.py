"""Each aim with its figure in the reference results, whether it is met, and the file that says so.

Measures nothing. What is missing, of an older form, of another commit than most results, or was measured on a busy
machine is said. With --write the table replaces the one in bench/README.md, between its two markers.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.bench import machine
from bftledger.bench.aims import Finding, commit_of_most, findings, results_in, short
from bftledger.bench.results import say

HERE: Final = Path(__file__).parent
BEGIN: Final = "<!-- aims: begin (python bench/aims.py --write) -->"
END: Final = "<!-- aims: end -->"

EXAMPLES = """\
  python bench/aims.py
  python bench/aims.py --results /tmp/new    of other results
  python bench/aims.py --write               into bench/README.md"""

parser = argparse.ArgumentParser(
    description=__doc__, epilog=f"examples:\n{EXAMPLES}", formatter_class=argparse.RawDescriptionHelpFormatter
)
add = parser.add_argument
add("--results", type=Path, default=HERE / "results", metavar="DIR", help="(default bench/results)")
add("--readme", type=Path, default=HERE / "README.md", metavar="FILE", help="for --write (default bench/README.md)")
add("--write", action="store_true", help="put the table between the markers of that file")


def text(found: Sequence[Finding]) -> str:
    """A line for each aim, and what is to be known of its result below it."""
    width = max(len(f"{one.aim.what} ({one.aim.aim})") for one in found)
    lines = []
    for one in found:
        figure = "-" if one.figure is None else one.figure.text
        said = f"{one.aim.what} ({one.aim.aim})"
        lines.append(f"{one.verdict:8} {said:{width}}  {one.aim.file}.json: {figure}")
        lines += [f"{'':8} {'':{width}}  {remark}" for remark in one.remarks]
    counts = [f"{sum(one.verdict == verdict for one in found)} {verdict}" for verdict in ("met", "missed", "unknown")]
    return "\n".join([*lines, "", ", ".join(counts)])


def markdown(found: Sequence[Finding], commit: str | None) -> str:
    """The same as a table, with links beside the results."""
    lines = [
        f"Of commit {short(commit)}, but where another is named. Made by `python bench/aims.py --write`.",
        "",
        "| what | aim | measured | | |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        verdict = f"**{one.verdict}**" if one.verdict == "missed" else one.verdict
        measured = "; ".join(([one.figure.text] if one.figure is not None else []) + list(one.remarks))
        link = f"[{one.aim.file}](results/{one.aim.file}.json)"
        lines.append(f"| {one.aim.what} | {one.aim.aim} | {measured} | {verdict} | {link} |")
    return "\n".join(lines)


def replaced(readme: str, table: str) -> str:
    """The text with this table between the markers. Raises `OperatorError` if they are not there, once each."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise OperatorError(f"there is no place for the table: {BEGIN} and {END}, once each and in this order")
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0; 1 if the table could not be written; 2 for a command line that makes no sense."""
    options = parser.parse_args(arguments)
    results = results_in(options.results)
    commit, found = commit_of_most(results), findings(results)
    here = machine.commit()
    print(text(found))
    print(f"results are of commit {short(commit)}, the sources of {short(here)}")
    if not options.write:
        return 0
    try:
        readme = options.readme.read_text(encoding="utf-8")
        options.readme.write_text(replaced(readme, markdown(found, commit)), encoding="utf-8")
    except OSError as error:
        say(f"bench: {options.readme}: {error.strerror}")
        return 1
    except OperatorError as error:
        say(f"bench: {options.readme}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
