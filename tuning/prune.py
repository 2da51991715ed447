"""Lists what the work folder keeps of features, and removes, after asking, what no study refers to.

python -m tuning.prune
python -m tuning.prune --storage URL --work_dir FOLDER
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from rich.table import Table

from pipeline.config import Cell, PruneConfig
from pipeline.features import kept
from pipeline.features.kept import Kept
from pipeline.shell import cli, progress
from tuning.storage import driver_lock, explained, open_existing
from tuning.studies import FEATURES, SETTINGS


def main(argv: Sequence[str] | None = None) -> None:
    """Lists all, and removes what is of no use. No sweep may be at work on the database."""
    config = cli.parse(PruneConfig, argv)
    storage = open_existing(config.storage)
    with driver_lock(config.storage), explained(config.storage):
        wanted = referred(storage)
        found = [*kept.tables(config.work_dir), *kept.engines(config.work_dir)]
        useless = [one for one in found if not is_wanted(one, wanted)]
        progress.show(_listed(found, useless))
        if not useless:
            print("nothing to remove")
            return
        size = f"{sum(one.bytes for one in useless) / 1e6:,.1f} MB"
        if config.yes or _agrees(f"remove {len(useless)} of {len(found)}, {size}? [y/N] "):
            for one in useless:
                kept.remove(one)
            print(f"removed {size}")


def referred(storage: RDBStorage) -> list[dict[str, Any]]:
    """Of each study: the digests of its splits, the cell, and the digest of the weights, of its features.

    One that has not come to its features yet does not know its weights' digest; tables may be there already, since
    those of several cells are made together.
    """
    found = []
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        kept, cell = summary.user_attrs, Cell.named_in(summary.study_name)
        if FEATURES in kept:
            found.append(kept[FEATURES])
        elif SETTINGS in kept and cell:
            found.append({"cell": cell.name, "pictures": [kept[SETTINGS]["pictures"]]})
    return found


def is_wanted(one: Kept, wanted: Sequence[dict[str, Any]]) -> bool:
    """Whether a study refers to it; a converted model serves any data set."""
    return any(
        one.about.get("cell") == known["cell"]
        and one.about.get("weights") == known.get("weights", one.about.get("weights"))
        and (one.kind == "engine" or one.about.get("pictures") in known["pictures"])
        for known in wanted
    )


def _agrees(question: str) -> bool:
    """What a person answers; where nobody is there to answer it is no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _listed(found: Sequence[Kept], useless: Sequence[Kept]) -> Table:
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("what", "data", "split", "cell", "MB", "studies"):
        shown.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    for one in found:
        of = [str(one.about.get(name, "-")) for name in ("data", "split", "cell")]
        shown.add_row(one.kind, *of, f"{one.bytes / 1e6:,.1f}", "none" if one in useless else "yes")
    return shown


if __name__ == "__main__":
    cli.run(main)
