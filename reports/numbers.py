"""The numbers that were measured and stand in README.md and docs/; results.csv is the only place that holds them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, DecimalException
from pathlib import Path

from pipeline.shell.errors import UserError

RESULTS = Path(__file__).with_name("results.csv")


@dataclass(frozen=True, kw_only=True)
class Number:
    """One published number, as results.csv spells it; empty is what nobody wrote down.

    Attributes:
        row: the first cells of its row, as Markdown: with a `|` in it, several.
        value: with the digits that are shown; `low` and `high` are its 95 % interval.
        text: how it stands in its cell, with {value}, {low}, {high} and {unit}, where it is not the value alone, with
            its interval if it has one. Numbers of one row and column follow each other.
        seed: or seeds.
        digest: of the data set.
        commit: of the code; of numbers that are older than results.csv, the one that brought them into the text.
    """

    table: str
    row: str
    column: str
    value: str
    low: str
    high: str
    unit: str
    text: str
    cell: str
    dataset: str
    command: str
    seed: str
    digest: str
    commit: str
    machine: str
    date: str

    def shown(self, is_bold: bool = False) -> str:
        """As it stands in its cell."""
        usual = ("**{value}**" if is_bold else "{value}") + (" [{low}, {high}]" if self.low else "")
        numbers = {name: Decimal(getattr(self, name) or "NaN") for name in ("value", "low", "high")}
        return (self.text or usual).format(**numbers, unit=self.unit)


def load(path: Path = RESULTS) -> list[Number]:
    """All numbers, in the file's order. Raises UserError where the file is missing or damaged, or has no command."""
    numbers: list[Number] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                numbers.append(Number(**row))
                numbers[-1].shown()
                if None in row.values() or not numbers[-1].command:
                    raise ValueError("a row without its command, or cut off")
    except (OSError, ValueError, KeyError, IndexError, TypeError, DecimalException, csv.Error) as error:
        raise UserError(
            f"wanted numbers, each with its command, in {path}. Received: {type(error).__name__}: {error}, after "
            f"{len(numbers)} of them. Try: mend that line, or `git checkout reports/{path.name}`."
        ) from error
    return numbers


def save(numbers: Sequence[Number], path: Path) -> None:
    """Writes them, those of one table together."""
    tables = list(dict.fromkeys(one.table for one in numbers))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Number)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(vars(one) for one in sorted(numbers, key=lambda one: tables.index(one.table)))


def merged(known: Sequence[Number], new: Sequence[Number]) -> list[Number]:
    """`known`, in which `new` ones, all of one row, take the place of that row; else they come last."""
    others = [one for one in known if (one.table, one.row) != (new[0].table, new[0].row)]
    place = next((place for place, one in enumerate(known) if one not in others), len(known))
    return [*others[:place], *new, *others[place:]]
