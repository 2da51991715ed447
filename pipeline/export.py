"""Files of a trained model for a phone or a board, each checked against the model on the whole test split.

    python -m pipeline.export --run_id ID
    python -m pipeline.export --model models:/digits-mobilenet_0.5_96-frozen@best --formats int8

writes them into --output, says in one line each whether they are as good as the model, and logs files and scores on the
run that holds the model.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from pipeline import tracking
from pipeline.config import LITERT_FORMATS, DataConfig, ExportConfig, TrainConfig
from pipeline.networks import devices
from pipeline.scoring.published import imagenet_note
from pipeline.shell import cli, progress
from pipeline.tracking.runs import PROCESSOR_TAG, exported, hash_tag

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pipeline.datasets import Dataset
    from pipeline.device.check import Check
    from pipeline.tracking import Tracker

FOLDER = "device"  # of a run's artifacts
CACHE = "litert.js"  # below the work folder


def export(config: ExportConfig, run_id: str, tracker: Tracker) -> list[Check]:
    """Writes and checks the files of the model of `run_id`, and records them there.

    Raises UserError where the run holds none, its pictures are gone or are others, or its network has operations that
    LiteRT does not know.
    """
    from pipeline import datasets
    from pipeline.device import card, contract, files, handheld, onnx, runtime
    from pipeline.device.contract import Contract
    from pipeline.tracking import records

    cache = Path(config.work_dir or DataConfig.work_dir, CACHE)
    if config.web:  # what it wants is told before minutes are spent
        runtime.contents(config.runtime, cache)
    if "onnx" in config.formats:
        onnx.require()
    tags = tracker.tags(run_id)
    trained = records.located(records.trained_config(run_id, tags), config)
    dataset = datasets.load(trained)
    records.require_same_pictures(dataset, tags)
    model = tracker.load_model(run_id)
    answers = _answers(model, trained, dataset, tracker, run_id)
    side = trained.resolution
    about = Contract(
        cell=trained.cell.name,
        precision="",
        side=side,
        class_names=records.output_names(trained, dataset.class_names),
        reject_below=tracker.metrics(run_id).get("reject_below", 0.0),
        dataset=dataset.source,
        pictures=dataset.train.digest,
        run_id=run_id,
    )
    some = files.calibration(dataset, side, config.calibration, trained.seed, trained.work_dir)
    progress.note(f"converting {trained.cell.name} to {', '.join(config.formats)}")
    written = files.write(model, about, config.formats, some, Path(config.output))
    checks = files.checks(written, dataset, side, answers, trained.work_dir)
    tracker.set_tags(run_id, {PROCESSOR_TAG: checks[0].processor})
    known = card.Known(trained, tracker.metrics(run_id), records.trained_weights(tags))
    for one in checks:
        card.write(one, known, dataset.test, config.margin)
        tracker.log_metrics(run_id, one.as_metrics())
        for path in (one.path, *map(one.path.with_suffix, (".json", ".md"))):
            tracker.log_file(run_id, path, FOLDER)
        tracker.set_tags(run_id, {hash_tag(one.precision): contract.read(one.path).sha256})
        tracker.log_metrics(run_id, {exported(one.precision): 1.0})  # last: all of it is there
    if config.web:
        folder = Path(config.output, handheld.FOLDER)
        handheld.write([one.path for one in checks if one.precision in LITERT_FORMATS], folder, config.runtime, cache)
    return checks


def _answers(model: keras.Model, trained: TrainConfig, dataset: Dataset, tracker: Tracker, run_id: str) -> pd.DataFrame:
    """Of the model to the test pictures: as they were kept when it was tested, or else made now."""
    from pipeline.scoring.scores import score
    from pipeline.tracking.runs import ANSWERS

    kept, test = tracker.read_frame(run_id, ANSWERS), dataset.test
    if kept is not None and kept["picture"].tolist() == list(test.ids) and (kept["truth"] == test.labels).all():
        return kept
    return score(model, trained, dataset).answers


def show(checks: Sequence[Check], margin: float, web: bool) -> None:
    """A table of the files, a verdict of each, and what to try next; `web` is whether there is a page for phones."""
    from pipeline.device import handheld
    from pipeline.device.check import milliseconds, verdict

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    threads = " / ".join(str(one.threads) for one in checks[0].latencies)
    for column in ("format", "MB", "top-1 %", "loses,\npoints", f"ms, {threads}\nthreads", "memory,\nMB"):
        table.add_column(column, justify="left" if column == "format" else "right", no_wrap=True)
    for one in checks:
        low, high = (100 * bound for bound in one.interval)
        loss, least, most = one.loss
        table.add_row(
            *(one.precision, f"{one.size / 1e6:.2f}", f"{100 * one.top1:.1f} [{low:.1f}, {high:.1f}]"),
            f"{loss:z.1f} [{least:z.1f}, {most:z.1f}]",
            " / ".join(milliseconds(latency.p50_ms) for latency in one.latencies),
            f"{one.latencies[0].memory / 1e6:.0f}",
        )
    progress.show(table)
    print(f"ms: the median of one picture at a time on {checks[0].processor}; a phone's is another")
    for one in checks:
        print(verdict(one, margin))
    good = [one for one in checks if one.loss[2] < margin]
    # As reports.choose: the smallest that is shown to be as good, or else the one that loses the least.
    taken = (
        min(good, key=lambda one: one.size) if good else min(checks, key=lambda one: (max(one.loss[0], 0), one.size))
    )
    print(
        f"Files in {taken.path.parent}. Try: python -m pipeline.predict --model {shlex.quote(str(taken.path))} PICTURES"
    )
    if web:
        folder = taken.path.parent / handheld.FOLDER
        command = shlex.join(["python", "-m", "pipeline.serve", "--model", str(taken.path), "--web", str(folder)])
        command += " --host 0.0.0.0"
        print(f"A page for phones in {folder}. Try: {command}, and open this machine's address on the phone")


def main(argv: Sequence[str] | None = None) -> None:
    """Exports the model that the flags name."""
    config = cli.parse(ExportConfig, argv)
    devices.set_up()
    tracker = tracking.connect(config.experiment)
    run_id = config.run_id or tracker.run_of(config.model)
    with tracker.run(f"export {run_id}", kind="export", tags={"alpharho.exports": run_id}):
        from pipeline.tracking import records

        checks = export(config, run_id, tracker)
        show(checks, config.margin, config.web)
        tags = tracker.tags(run_id)
        if caveat := imagenet_note(records.trained_config(run_id, tags).dataset, records.trained_weights(tags)):
            print(caveat)


if __name__ == "__main__":
    cli.run(main)
