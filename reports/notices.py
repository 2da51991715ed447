"""What a reader must know before trusting the numbers: what they cannot show, and what is still missing."""

from __future__ import annotations

from typing import Any

from reports.figures import cell_label
from reports.figures.frames import rows
from reports.tables import Tables


def notices(tables: Tables) -> list[str]:
    """A sentence or two each, for all sweeps."""
    several = len(tables.sweeps) > 1
    found = [caveat for caveat in tables.sweeps["caveat"].unique() if caveat]
    for sweep in rows(tables.sweeps):
        if sweep.status == "RUNNING":
            found.append(f"The sweep {sweep.sweep} is still running. Build the page again when it has ended.")
        elif sweep.status != "FINISHED":
            found.append(f"The sweep {sweep.sweep} did not finish ({sweep.status}). The same command resumes it.")
    untested = [row for row in rows(tables.cells) if row.test_top1 != row.test_top1]
    found += [f"{_name(row, several)} failed: {row.error}" for row in untested if row.status == "FAILED"]
    waiting = ", ".join(_name(row, several) for row in untested if row.status != "FAILED")
    return [*found, f"Not tested yet: {waiting}."] if waiting else found


def _name(cell: Any, several: bool) -> str:
    return f"{cell.sweep} {cell_label(cell.cell)}" if several else cell_label(cell.cell)
