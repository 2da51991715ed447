"""Lists what the work folder keeps of features, and removes, after asking, what no study refers to.

python -m tuning.prune
python -m tuning.prune --storage URL --work_dir FOLDER
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage
from rich.table import Table

from pipeline.config import DataConfig, SweepConfig
from pipeline.features import kept
from pipeline.features.kept import Kept
from pipeline.shell import cli, progress
from tuning.storage import driver_lock, explained, open_existing
from tuning.studies import FEATURES


@dataclass(frozen=True)
class PruneConfig:
    """Removes feature tables and converted models that no study of the database refers to."""

    storage: str = SweepConfig.storage
    """Optuna's database"""
    work_dir: str = DataConfig.work_dir
    """where feature tables are kept"""
    yes: bool = False
    """without asking"""


def main(argv: Sequence[str] | None = None) -> None:
    """Lists all, and removes what is of no use. No sweep may be at work on the database."""
    config = cli.parse(PruneConfig, argv)
    with driver_lock(config.storage), explained(config.storage):
        wanted = referred(open_existing(config.storage))
        found = [*kept.tables(config.work_dir), *kept.engines(config.work_dir)]
        useless = [one for one in found if not is_wanted(one, wanted)]
        progress.show(_listed(found, useless))
        if not useless:
            print("nothing to remove")
            return
        size = f"{sum(one.bytes for one in useless) / 1e6:,.1f} MB"
        if config.yes or input(f"remove {len(useless)} of {len(found)}, {size}? [y/N] ").strip().lower() in (
            "y",
            "yes",
        ):
            for one in useless:
                kept.remove(one)
            print(f"removed {size}")


def referred(storage: RDBStorage) -> list[dict[str, Any]]:
    """Of each study: the digests of its splits, the cell, and the digest of the weights, of its features."""
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    return [summary.user_attrs[FEATURES] for summary in summaries if FEATURES in summary.user_attrs]


def is_wanted(one: Kept, wanted: Sequence[dict[str, Any]]) -> bool:
    """Whether a study refers to it; a converted model serves any data set."""
    return any(
        (one.about.get("cell"), one.about.get("weights")) == (known["cell"], known["weights"])
        and (one.kind == "engine" or one.about.get("pictures") in known["pictures"])
        for known in wanted
    )


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
