"""What people measured on their devices, by the page of pipeline.export --web: rows of a CSV."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from pipeline.device.check import milliseconds
from pipeline.shell.errors import UserError, first_line
from reports.figures import cell_label
from reports.figures.labels import plain
from reports.file_table import FileRows

COLUMNS = ("cell", "precision", "p50_ms", "p95_ms", "runs", "device")
_TITLES = ["device", "cell", "format", "ms", "ms, 95 %", "runs"]
_LONGEST = 120  # letters of a browser's own name


def read(path: str) -> FileRows:
    """The table, in the file's order; without rows where `path` is empty. A head may stand in it several times.

    Raises UserError where it cannot be read, or a time is no number.
    """
    if not path:
        return FileRows(_TITLES, [])
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line and tuple(line) != COLUMNS]
        return FileRows(_TITLES, [_row(line) for line in lines])
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"wanted rows of {','.join(COLUMNS)}. Received: {path} ({reason}). "
            "Try: copy them from the page that python -m pipeline.export --web writes"
        ) from error


def _row(line: list[str]) -> list[str]:
    cell, precision, half, most, runs, device = line  # another number of columns is a ValueError
    times = [float(text) for text in (half, most)]
    if not all(math.isfinite(time) and time > 0 for time in times):
        raise ValueError(f"a time of {half} or {most} ms")
    shown = [plain(device, _LONGEST), plain(cell_label(cell)), plain(precision)]
    return [*shown, *map(milliseconds, times), f"{int(runs)}"]
