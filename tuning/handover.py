"""What a finished sweep hands over: its best models by name, and files of them for a device."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pipeline.config import ExportConfig, Format, SweepConfig
from pipeline.device import contract
from pipeline.device.check import milliseconds
from pipeline.export import export
from pipeline.shell import progress
from pipeline.shell.errors import UserError, first_line
from pipeline.tracking.runs import EXPORTED
from reports import tables
from reports.choose import Option, choose, losses_of, options_of
from reports.figures import cell_label
from reports.tables.choice import find, sweeps

if TYPE_CHECKING:
    from pipeline.tracking import Tracker
    from reports.tables import Tables

FOLDER = Path(ExportConfig.output)


def hand_over(config: SweepConfig, tracker: Tracker, sweep_run: str) -> str:
    """Gives the data set's aliases to the best cell and to the one that is enough, and exports what --export asks for.

    What fails is told, and that is all: the sweep is done, and well.

    Returns a line that says which file is the one to take, empty where none was made.
    """
    found = tables.read(tracker, [sweep_run], curve_trials=1, margin=config.margin)
    cells = found.cells[found.cells["test_top1"].notna()]
    best, enough = (list(cells.loc[cells[mark], "run_id"]) for mark in ("is_best", "is_enough"))
    if not best:
        return ""
    asked = {"none": [], "chosen": [*best, *enough], "all": list(cells["run_id"])}[config.export]
    try:
        tracker.promote(_name(tracker, sweep_run), best[0], (enough or best)[0])
        for run_id in asked:
            _export(config, tracker, run_id)
    except (UserError, OSError) as error:
        progress.note(f"not all files were made: {first_line(error)}")
    return _told(tracker, found, asked)


def _export(config: SweepConfig, tracker: Tracker, run_id: str) -> None:
    """Unless it was done, and the files still lie there."""
    if tracker.metrics(run_id).get(EXPORTED) and _files(run_id).keys() == set(get_args(Format)):
        return
    given = ExportConfig(run_id=run_id, data_dir=config.data_dir, work_dir=config.work_dir, output=str(FOLDER))
    export(given, run_id, tracker)


def _files(run_id: str) -> dict[str, Path]:
    """Format -> file of the model of this run."""
    found = {}
    for path in sorted(FOLDER.glob("*.tflite")):
        try:
            about = contract.read(path).contract
        except UserError:  # of another program
            continue
        if about.run_id == run_id:
            found[about.precision] = path
    return found


def _told(tracker: Tracker, found: Tables, runs: Collection[str]) -> str:
    """Of the file that is chosen among those of `runs` as `reports.choose` chooses within no budget."""
    metrics, files = {run: tracker.metrics(run) for run in runs}, {run: _files(run) for run in runs}
    options = options_of(found.cells[found.cells["run_id"].isin(runs)], metrics)
    there = [one for one in options if one.precision in files[one.run_id]]
    choice = choose(there, [], losses_of(found.pairs), found.margin)
    taken = choice.enough or choice.best
    return "" if taken is None else _line(taken, metrics[taken.run_id], files[taken.run_id][taken.precision])


def _line(option: Option, metrics: dict[str, float], path: Path) -> str:
    top1, low, high = (100 * metrics[f"{option.precision}_top1{bound}"] for bound in ("", "_low", "_high"))
    return (
        f"The file: {path}, {cell_label(option.cell)} in {option.precision}: {top1:.1f} [{low:.1f}, {high:.1f}] % of "
        f"{metrics['test_pictures']:,.0f} test pictures, {option.size / 1e6:.2f} MB, "
        f"{milliseconds(option.latency_ms)} ms a picture in one thread of this machine. "
        f"Try: python -m pipeline.predict --model {path} PICTURES"
    )


def _name(tracker: Tracker, sweep_run: str) -> str:
    """Of the data set, as the sweep's cells have it in the names of their models."""
    sweep = find(tracker, sweeps(tracker), sweep_run)
    return next(data.name for data in sweep.data if "classes" in data.profile)
