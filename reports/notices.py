"""What a reader must know before trusting the numbers: what they cannot show, and what is still missing."""

from __future__ import annotations

from typing import Any

from reports.figures import cell_label
from reports.figures.frames import rows
from reports.tables import Tables

TOLD = 0.02  # what balanced accuracy must differ by from top-1


def notices(tables: Tables) -> list[str]:
    """A sentence or two each, for all sweeps."""
    several = len(tables.sweeps) > 1
    found = [caveat for caveat in tables.sweeps["caveat"].unique() if caveat]
    for sweep in rows(tables.sweeps):
        found += [f"{sweep.sweep}: {line}" if several else line for line in sweep.audit.splitlines()]
        if sweep.status == "RUNNING":
            found.append(f"The sweep {sweep.sweep} is still running. Build the page again when it has ended.")
        elif sweep.status != "FINISHED":
            found.append(f"The sweep {sweep.sweep} did not finish ({sweep.status}). The same command resumes it.")
    found += _other_scores(tables, several)
    untested = [row for row in rows(tables.cells) if row.test_top1 != row.test_top1]
    found += [f"{_name(row, several)} failed: {row.error}" for row in untested if row.status == "FAILED"]
    waiting = ", ".join(_name(row, several) for row in untested if row.status != "FAILED")
    return [*found, f"Not tested yet: {waiting}."] if waiting else found


def _other_scores(tables: Tables, several: bool) -> list[str]:
    """Of the same tests: without the training pictures among them, and with every class weighing the same."""
    tested = [row for row in rows(tables.cells) if row.test_top1 == row.test_top1]
    unshared = [(row, row.test_top1_unshared) for row in tested if row.test_top1_unshared == row.test_top1_unshared]
    balanced = [(row, row.test_balanced_top1) for row in tested if abs(row.test_balanced_top1 - row.test_top1) >= TOLD]
    balanced_val = [(row, row.best_val_balanced_top1) for row, _ in balanced if row.best_val_balanced_top1 > 0]
    return [
        f"{said}: {', '.join(f'{_name(row, several)} {100 * score:.1f} %' for row, score in scores)}."
        for said, scores in (
            ("Without the test pictures that are (nearly) training pictures", unshared),
            ("Balanced accuracy, where it is another", balanced),
            ("Balanced accuracy on val", balanced_val),
        )
        if scores
    ]


def _name(cell: Any, several: bool) -> str:
    return f"{cell.sweep} {cell_label(cell.cell)}" if several else cell_label(cell.cell)
