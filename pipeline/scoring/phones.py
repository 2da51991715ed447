"""How long others took to run these cells on a phone; phones.csv is the only place that holds it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PHONES = Path(__file__).with_name("phones.csv")


@dataclass(frozen=True)
class PhoneLatency:
    """Of one picture by one file, as it was published; with a head of 1,000 classes.

    Attributes:
        cell: its name; precision: float32 or int8.
    """

    cell: str
    precision: str
    latency_ms: float
    phone: str
    threads: int
    reference: str


@cache
def load() -> dict[tuple[str, str], PhoneLatency]:
    """(cell, precision) -> what was measured."""
    with PHONES.open(encoding="utf-8", newline="") as file:
        rows = [
            PhoneLatency(
                row["cell"],
                row["precision"],
                float(row["latency_ms"]),
                row["phone"],
                int(row["threads"]),
                row["reference"],
            )
            for row in csv.DictReader(file, strict=True)
        ]
    return {(row.cell, row.precision): row for row in rows}
