"""What a finished sweep hands over: its best models by name, and files of them for a device."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pipeline.config import ExportConfig, Format, SweepConfig
from pipeline.device import contract
from pipeline.device.check import milliseconds
from pipeline.export import export
from pipeline.shell import progress
from pipeline.shell.errors import UserError, first_line
from pipeline.tracking.runs import exported, hash_tag
from reports import tables
from reports.choose import Option, choose, losses_of, options_of
from reports.figures import cell_label
from reports.tables.choice import find, sweeps

if TYPE_CHECKING:
    from pipeline.tracking import Tracker
    from reports.tables import Tables

FOLDER = Path(ExportConfig.output)

Files = Mapping[str, Path]
"""SHA-256 -> file."""


def hand_over(config: SweepConfig, tracker: Tracker, sweep_run: str) -> str:
    """Gives the data set's aliases to the best cell and to the one that is enough, and exports what --export asks for.

    What fails is told, and that is all: the sweep is done, and well.

    Returns a line that says which file is the one to take, empty where none was made.
    """
    try:
        return _hand_over(config, tracker, sweep_run)
    except Exception as error:  # of whatever reads MLflow, converts or measures
        progress.note(f"not all was handed over: {first_line(error)}")
        return ""


def _hand_over(config: SweepConfig, tracker: Tracker, sweep_run: str) -> str:
    found = tables.read(tracker, [sweep_run], curve_trials=1, margin=config.margin)
    cells = found.cells[found.cells["test_top1"].notna()]
    best, enough = (list(cells.loc[cells[mark], "run_id"]) for mark in ("is_best", "is_enough"))
    if not best:
        return ""
    tracker.promote(_name(tracker, sweep_run), best[0], (enough or best)[0])
    asked = {"none": [], "chosen": [*best, *enough], "all": list(cells["run_id"])}[config.export]
    for run_id in asked:
        try:
            _export(config, tracker, run_id)
        except Exception as error:  # so that the other cells' files are made
            progress.note(f"no files were made of the run {run_id}: {first_line(error)}")
    return _told(tracker, found, asked)


def _export(config: SweepConfig, tracker: Tracker, run_id: str) -> None:
    """Unless it was done, and the files still lie there."""
    if not set(ExportConfig.formats) - _there(tracker, run_id, _files()).keys():
        return
    where = {name: getattr(config, name) for name in ("dataset", "labels", "data_dir", "work_dir")}
    export(ExportConfig(run_id=run_id, output=str(FOLDER), **where), run_id, tracker)


def _files() -> Files:
    """All that lie there."""
    found = {}
    for path in sorted(FOLDER.glob("*.tflite")):
        try:
            found[contract.read(path).sha256] = path
        except UserError:  # of another program
            continue
    return found


def _there(tracker: Tracker, run_id: str, files: Files) -> dict[str, Path]:
    """Precision -> file of the present model of this run."""
    tags, metrics = tracker.tags(run_id), tracker.metrics(run_id)
    known = {name: tags.get(hash_tag(name), "") for name in get_args(Format) if metrics.get(exported(name))}
    return {name: files[sha256] for name, sha256 in known.items() if sha256 in files}


def _told(tracker: Tracker, found: Tables, runs: Collection[str]) -> str:
    """Of the file that is chosen among those of `runs` as `reports.choose` chooses within no budget."""
    files = _files()
    metrics, there = {run: tracker.metrics(run) for run in runs}, {run: _there(tracker, run, files) for run in runs}
    options = options_of(found.cells[found.cells["run_id"].isin(runs)], metrics)
    usable = [one for one in options if one.precision in there[one.run_id]]
    choice = choose(usable, [], losses_of(found.pairs), found.margin)
    taken = choice.enough or choice.best
    return "" if taken is None else _line(taken, metrics[taken.run_id], there[taken.run_id][taken.precision])


def _line(option: Option, metrics: Mapping[str, float], path: Path) -> str:
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
