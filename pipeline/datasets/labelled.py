"""A table of labels: a CSV that says of which class each picture is, for pictures that lie in no class folders."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets import layouts
from pipeline.shell.errors import UserError

# Names of columns in the tables of labels that Kaggle's and Roboflow's data sets come with.
_COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "image_id", "image_name", "path", "id"),
    "label": ("label", "class", "class_name", "category", "breed", "target"),
    "split": ("split", "set", "subset"),
    "group": ("group",),
}


def by_table(root: Path, table: Path) -> layouts.Listing:
    """Of a CSV with the columns file and label, and, if it has them, split and group; other files are passed over.

    A file is told by its path below PATH, or by its name alone, with its ending or without.

    Raises UserError where a column, a file or a label is missing.
    """
    rows = _rows(table)
    files = layouts.Files()
    there = {path.relative_to(root).as_posix(): path for path in layouts.walk(root) if path != table}
    pictures = set(filter(files.is_picture, there.values()))
    by_name: dict[str, list[Path]] = {}
    for path in there.values():
        for name in {path.name, path.stem}:
            by_name.setdefault(name, []).append(path)
    found, missing = [], []
    for number, row in enumerate(rows, start=2):
        named = row["file"].strip().replace("\\", "/").removeprefix("./")
        candidates = [there[named]] if named in there else by_name.get(named.rpartition("/")[2], [])
        if len(candidates) != 1:
            missing.append(f"{named or 'no name'} in line {number}" + (" (several)" if candidates else ""))
        elif not row["label"].strip():
            missing.append(f"no label in line {number}")
        elif candidates[0] in pictures:
            part = _part(row.get("split", ""), table, number)
            found.append(
                layouts.Listed(
                    candidates[0], layouts.printable(row["label"].strip()), part, row.get("group", "").strip()
                )
            )
    if missing:
        raise UserError(
            f"wanted each file of {table} once below {root}. Received: {len(missing)} of {len(rows)} that are not "
            f"there: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. Try: mend or remove these lines"
        )
    _require_once(found, table)
    unlisted = len(pictures) - len(found)
    notes = (f"{unlisted} pictures are not in {table.name}, and passed over",) if unlisted else ()
    ordered = sorted(found, key=lambda one: (one.label, one.file))
    return layouts.Listing(root, tuple(ordered), files.passed_over, notes)


def _require_once(found: Sequence[layouts.Listed], table: Path) -> None:
    twice = [str(file) for file, count in Counter(one.file for one in found).items() if count > 1]
    if twice:
        raise UserError(
            f"wanted each picture in one line of {table}. Received: {len(twice)} in several, the first {twice[0]}. "
            "Try: one label for each picture"
        )


def _rows(table: Path) -> list[dict[str, str]]:
    """Under our names of the columns."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, dialect=_dialect(table))
            seen = {name: (name or "").strip().lower() for name in reader.fieldnames or ()}
            ours = {
                kind: next((name for name, low in seen.items() if low in known), None)
                for kind, known in _COLUMNS.items()
            }
            if ours["file"] is None or ours["label"] is None:
                raise UserError(
                    f"wanted the columns file and label in {table}. "
                    f"Received: {', '.join(map(str, seen)) or 'no line'}. Try: name them so in its first line"
                )
            return [{kind: row[name] or "" for kind, name in ours.items() if name is not None} for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(
            f"wanted a CSV table of labels in UTF-8. Received: {table}, which is in another encoding. "
            "Try: save it as 'CSV UTF-8'"
        ) from error
    except (OSError, csv.Error) as error:
        raise UserError(f"wanted a CSV table of labels. Received: {table} ({error}). Try: --labels FILE.csv") from error


def _dialect(table: Path) -> type[csv.Dialect]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()

    class Found(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _part(given: str, table: Path, number: int) -> str:
    part = layouts.part_of(given)
    if given.strip() and not part:
        raise UserError(
            f"wanted train, val or test in the column split of {table}. Received: {given!r} in line {number}. "
            "Try: leave it empty for what is to be dealt"
        )
    return part
