"""What the numbers of a sweep rest on, in words: data, protocol, machine and versions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from pipeline.config import OF_FINETUNING, SweepConfig
from reports.figures.axes import finetunes
from reports.figures.frames import outputs, rows
from reports.figures.labels import cell_label
from reports.tables import Tables, short_name

UNKNOWN = "not recorded"
# Settings of a sweep that say where things are, or that the page shows anyway; all others are its protocol.
NO_PROTOCOL = frozenset(
    {
        *("dataset", "data_dir", "work_dir", "experiment", "storage"),
        *("alphas", "resolutions", "trials", "skip_unreadable", "margin", "plan", "repeats"),
    }
)


class Ours(NamedTuple):
    """One sweep, in the words of the table of published numbers."""

    model: str
    top1: str
    mult_adds: str
    params: str
    head: str
    protocol: str


def ours(tables: Tables) -> list[Ours]:
    """A row for each sweep that tested a cell."""
    found = []
    for sweep in rows(tables.sweeps):
        tested = tables.cells[(tables.cells["sweep"] == sweep.sweep) & tables.cells["test_top1"].notna()]
        if len(tested):
            found.append(_ours(sweep, tested))
    return found


def _ours(sweep: Any, tested: pd.DataFrame) -> Ours:
    settings = sweep.settings
    trained = "trained whole"
    if settings.get("freeze_conv", "true") == "true":
        trained = "frozen, only the head trained"
    elif settings.get("unfreeze", "all") != "all":
        trained = f"the last {settings['unfreeze']} blocks trained with the head"
    trials = (tested["trials_complete"] + tested["trials_pruned"]).max()
    return Ours(
        model=_counted(len(tested), "cells"),
        top1=_span(100 * tested["test_top1"], ".1f"),
        mult_adds=_span(tested["mult_adds"] / 1e6, ",.0f"),
        params=_span(tested["params_total"] / 1e6, ".2f"),
        head=f"{outputs(sweep):.0f}-way" if math.isfinite(outputs(sweep)) else UNKNOWN,
        protocol=(
            f"{settings.get('weights', 'unknown')} weights, {trained}; {trials} trials a cell over the learning rate "
            f"and Adam's betas, {settings.get('epochs', '?')} epochs; the best trained again on train + val. This page."
        ),
    )


def _span(values: pd.Series, form: str) -> str:
    low, high = f"{values.min():{form}}", f"{values.max():{form}}"
    return low if low == high else f"{low} to {high}"


def facts(tables: Tables) -> list[tuple[str, list[tuple[str, str]]]]:
    """(sweep, [(term, text), ...]) for each sweep."""
    return [(row.sweep, _facts(row, tables.cells[tables.cells["sweep"] == row.sweep])) for row in rows(tables.sweeps)]


def _facts(sweep: Any, cells: pd.DataFrame) -> list[tuple[str, str]]:
    timed = cells["seconds"].dropna()
    begun = UNKNOWN if pd.isna(sweep.started) else sweep.started.strftime("%Y-%m-%d %H:%M UTC")
    return [
        ("data", _data(sweep, cells)),
        ("protocol", protocol(sweep.settings)),
        ("machine", sweep.device or UNKNOWN),
        ("versions", sweep.versions or UNKNOWN),
        ("begun", f"{begun}; {sweep.status.lower()}"),
        *([("how scores vary", spread)] if (spread := _spread(cells)) else []),
        ("computing time", f"{duration(timed.sum())} for {_counted(len(timed), 'cells')}" if len(timed) else UNKNOWN),
        ("MLflow run", sweep.run_id),
    ]


def _data(sweep: Any, cells: pd.DataFrame) -> str:
    """ "digits, 10 classes, pictures: 1,221 train, 216 val, 360 test, digest 4ee7cc36" """
    train = sweep.pictures_train_and_val - sweep.pictures_val
    searched = [(train, "train"), (sweep.pictures_val, "val")]
    if sweep.folds > 1:
        searched = [(sweep.pictures_train_and_val, f"train and val in {sweep.folds:.0f} folds")]
    sizes = (*searched, (cells["test_pictures"].max(), "test"))
    pictures = ", ".join(f"{count:,.0f} {split}" for count, split in sizes if math.isfinite(count))
    parts = [
        short_name(sweep.dataset),
        _counted(sweep.classes, "classes") if math.isfinite(sweep.classes) else "",
        f"pictures: {pictures}" if pictures else "",
        f"digest {sweep.digest}" if sweep.digest else "",
    ]
    return ", ".join(part for part in parts if part)


def _spread(cells: pd.DataFrame) -> str:
    """Standard deviations of test top-1 apart: of the test pictures, of refits, and of cuts; of repeated cells."""
    of_pictures = (cells["test_top1"] * (1 - cells["test_top1"]) / cells["test_pictures"]) ** 0.5
    repeated = cells.assign(of_pictures=of_pictures)[cells["repeats"] > 0]
    return "; ".join(
        f"{cell_label(row.cell)}: {100 * row.of_pictures:.1f} points by which pictures are tested, "
        f"{100 * row.refit_top1_std:.1f} by the seed of the fit, {100 * row.cut_top1_std:.1f} by which pictures are "
        f"trained on ({row.repeats:.0f} repeats)"
        for row in rows(repeated)
    )


def _counted(count: float, what: str) -> str:
    """ "4 cells", "1 cell", "10 classes"."""
    one = {"cells": "cell", "classes": "class"}[what]
    return f"{count:,.0f} {one if count == 1 else what}"


def protocol(settings: Mapping[str, str]) -> str:
    """ "weights imagenet, freeze_conv true, epochs 30", without what such a sweep does not use."""
    idle = {"augment"} if settings.get("freeze_conv") == "true" else set()
    idle |= set() if finetunes(settings) else OF_FINETUNING
    names = [field.name for field in dataclasses.fields(SweepConfig) if field.name not in NO_PROTOCOL | idle]
    return ", ".join(f"{name} {settings[name]}" for name in names if settings.get(name)) or UNKNOWN


def duration(seconds: float) -> str:
    """ "72 s", "12 min", "3.6 h"."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
