"""The tables of README.md and docs/: measured numbers out of results.csv, and flags out of pipeline/config.

    python -m reports.results                # writes the tables anew
    python -m reports.results --check        # writes nothing; exit code 1, and the names of those that differ
    python -m reports.results --add RUN_ID --table scores --row "Stanford Dogs, part | 1.0-224 | noise"

A table stands between <!-- results: NAME --> (or <!-- flags: CLASS -->) and <!-- end -->. Its head, two lines, is
written by hand; the rows below it are written by this.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.config import Cell, ResultsConfig
from pipeline.scoring.published import Source, find_published
from pipeline.shell import cli
from pipeline.shell.errors import require
from reports import flags
from reports.numbers import RESULTS, Number, load, merged, save

ROOT = Path(__file__).parents[1]
BEGIN = re.compile(r"^<!-- (results|flags): (.+) -->\n", re.MULTILINE)
END = "<!-- end -->\n"
# Columns that pipeline/scoring/published.csv fills, for the cell and the data set of the row.
PUBLISHED: dict[str, Source] = {
    "paper": "paper",
    "replication": "replication",
    "the replication, all pictures": "replication",
}


class Written(NamedTuple):
    """A document with its tables written anew, and the names of those that were otherwise."""

    text: str
    differ: list[str]


def body(numbers: Sequence[Number], head: str) -> list[str]:
    """The rows of one table, as Markdown; "-" where there is no number.

    A column of `head` without a name belongs to the one before it, whose numbers bring the `|` between them.

    Raises UserError where `head` lacks the column of a number, or a row has other first cells than the rest.
    """
    rows: dict[str, list[Number]] = {}
    for one in numbers:
        rows.setdefault(one.row, []).append(one)
    widths = {row.count("|") + 1 for row in rows}
    require(len(widths) == 1, f"as many first cells in each row of {numbers[0].table}", list(rows), "a `|` between two")
    columns = [name.strip() for name in head.strip("| \n").split("|")][widths.pop() :]
    for one in numbers:
        known = one.column in [name.strip("*") for name in columns]
        require(known, f"a column {one.column!r} in the head of {one.table}", head.strip(), "name it there")
    return [
        f"| {' | '.join([row, *(_cell(cells, name) for name in columns if name)])} |" for row, cells in rows.items()
    ]


def _cell(row: Sequence[Number], name: str) -> str:
    """What the row has in this column of the head."""
    column = name.strip("*")
    if column in PUBLISHED:
        cell = Cell.named_in(row[0].cell)
        found = find_published(cell, row[0].dataset, PUBLISHED[column]) if cell else None
        return f"{100 * found.top1:.1f}" if found else "-"
    return "".join(one.shown(is_bold=name != column) for one in row if one.column == column) or "-"


def written(text: str, where: str, numbers: Sequence[Number]) -> Written:
    """The text of a document, `where`, with the rows of its tables written anew.

    Raises UserError where a table has no end or no head, or nothing is known by its name.
    """
    before, *parts = BEGIN.split(text)
    differ = []
    for kind, name, rest in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        table, end, after = rest.partition(END)
        lines = table.splitlines(keepends=True)
        marker = f"<!-- {kind}: {name} -->"
        require(bool(end), f"{END.strip()} behind the table {name} of {where}", "none", f"write it below {marker}")
        require(
            len(lines) > 1, f"the head of a table behind {marker} in {where}", table, "two lines, | a | b | and |---|"
        )
        rows = flags.body(name) if kind == "flags" else body(_of_table(numbers, name, where), lines[0])
        new = "".join([*lines[:2], *(f"{row}\n" for row in rows)])
        differ += [name] if new != table else []
        before += f"{marker}\n{new}{END}{after}"
    return Written(before, differ)


def _of_table(numbers: Sequence[Number], name: str, where: str) -> list[Number]:
    known = dict.fromkeys(one.table for one in numbers)
    require(name in known, f"a table of results.csv in {where}", name, f"one of {', '.join(known)}")
    return [one for one in numbers if one.table == name]


def write_all(numbers: Sequence[Number], root: Path = ROOT) -> dict[Path, Written]:
    """Each document of `root` with its tables written anew; nothing is saved.

    Raises UserError where a table of results.csv stands in none of them.
    """
    paths = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    placed = {name for text in texts.values() for kind, name in BEGIN.findall(text) if kind == "results"}
    for table in dict.fromkeys(one.table for one in numbers):
        marker = f"<!-- results: {table} -->"
        require(table in placed, f"{marker} in README.md or docs/*.md", "none", "write it above the table's head")
    return {path: written(text, str(path.relative_to(root)), numbers) for path, text in texts.items()}


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Adds a run's numbers if asked to, and writes the tables of the clone in `root`, or says which differ."""
    config = cli.parse(ResultsConfig, argv)
    table = root / RESULTS.relative_to(ROOT)
    numbers = load(table)
    if config.add:
        # These take seconds: what is wrong with the flags was said before.
        from pipeline import tracking
        from reports import measured

        tracker = tracking.connect(config.experiment, make=False)
        columns = {one.column for one in _of_table(numbers, config.table, "--table")}
        numbers = merged(numbers, measured.of_cell(tracker, config.add, config.table, config.row, columns))
    documents = write_all(numbers, root)
    differ = [f"{name} in {path.relative_to(root)}" for path, new in documents.items() for name in new.differ]
    if config.check and differ:
        print(f"to be written anew by `python -m reports.results`: {', '.join(differ)}", file=sys.stderr)
        sys.exit(1)
    if config.add:
        save(numbers, table)
    for path, new in documents.items():
        if new.differ:
            path.write_text(new.text, encoding="utf-8")
    print(f"written anew: {', '.join(differ) or 'nothing'}")


if __name__ == "__main__":
    cli.run(main)
