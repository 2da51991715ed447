"""Tests a trained model: the only reader of the test split.

    python -m pipeline.evaluate --run_id ID

logs test_top1 with its 95 % Wilson interval, test_top5, the difference to the published numbers, per-class accuracy
and the confusion counts on the run that holds the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline import tracking
from pipeline.config import EvaluateConfig, TrainConfig
from pipeline.networks import devices
from pipeline.scoring.published import imagenet_note
from pipeline.shell import cli
from pipeline.tracking.runs import REPEATS

if TYPE_CHECKING:
    import keras

    from pipeline.datasets import Dataset
    from pipeline.networks.backbones import Backbone
    from pipeline.scoring.scores import TestScores
    from pipeline.tracking import Tracker
    from pipeline.training.heads import Head


def evaluate(
    model: keras.Model,
    config: TrainConfig,
    dataset: Dataset,
    tracker: Tracker,
    run_id: str,
    reject_below: float = 0.0,
    start: tuple[Backbone, Head] | None = None,
    beside: Mapping[str, float] = MappingProxyType({}),
    caveat: str | None = None,
) -> TestScores:
    """Scores `model` on the test split and records it on `run_id`.

    Args:
        reject_below: the probability below which the model answers none of the classes; 0: never.
        start: what it was before any training, which is scored beside it.
        beside: further metrics, which are there if and only if the scores are.
        caveat: what must stand beside the scores, where `config` no longer tells it.
    """
    from pipeline.scoring import metrics
    from pipeline.scoring.scores import differences, score
    from pipeline.tracking import records
    from pipeline.tracking.runs import ANSWERS

    scores = score(model, config, dataset, reject_below, start)
    caveat = imagenet_note(config.dataset, config.weights) if caveat is None else caveat
    if caveat:
        tracker.set_tags(run_id, {"caveat": caveat})
    names = records.output_names(config, dataset.class_names)
    per_class = metrics.per_class_accuracy(scores.confusion, names).head(dataset.num_classes)
    tracker.log_table(run_id, per_class, "per_class.csv")
    tracker.log_table(run_id, metrics.confusion_table(scores.confusion, names), "confusion.csv")
    tracker.log_table(run_id, scores.coverage, "coverage.csv")
    tracker.log_frame(run_id, scores.answers, ANSWERS)
    tracker.log_metrics(run_id, {**scores.as_metrics(), **differences(config, scores.top1), **beside})
    return scores


def evaluate_repeats(
    heads: Mapping[str, Sequence[Head]],
    backbone: Backbone,
    config: TrainConfig,
    dataset: Dataset,
    tracker: Tracker,
    run_id: str,
) -> None:
    """Tests heads of one setting, two and more of each kind, and records on `run_id` how much their scores vary."""
    from pipeline.scoring.scores import top1s

    found = top1s(backbone, heads, config, dataset)
    tracker.log_table(run_id, found, "repeats.csv")
    spread = found.groupby("kind")["test_top1"].agg(["mean", "std", "count"])
    known = {f"{kind}_top1_{name}": spread[name][kind] for kind in spread.index for name in ("mean", "std")}
    tracker.log_metrics(run_id, {**known, REPEATS: float(spread["count"].min())})


def summary(config: TrainConfig, scores: TestScores, caveat: str | None = None) -> str:
    """A few lines for a person; `caveat` as in `evaluate`."""
    from pipeline.scoring.scores import differences

    low, high = scores.interval
    lines = [
        f"{config.dataset} {config.cell.name}: test top-1 {100 * scores.top1:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}), top-5 {100 * scores.top5:.1f} %, "
        f"features at {scores.pictures_per_second:.0f} pictures/s when they were made",
        f"balanced top-1 {100 * scores.balanced_top1:.1f} %",
    ]
    if scores.reject_below and scores.answered:
        lines.append(
            f'with "none of these" where it is less sure than {scores.reject_below:.2f} it answers '
            f"{100 * scores.answered:.1f} % of the pictures, of which {100 * scores.answered_top1:.1f} % are right"
        )
    if scores.untrained_top1 is not None:
        lines.append(f"untrained, as heads start: {100 * scores.untrained_top1:.1f} %")
    for name, delta in differences(config, scores.top1).items():
        lines.append(f"difference to the {name.removeprefix('delta_')}: {100 * delta:+.1f} points")
    if caveat := imagenet_note(config.dataset, config.weights) if caveat is None else caveat:
        lines.append(caveat)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Tests the run that --run_id names, and logs the scores there."""
    config = cli.parse(EvaluateConfig, argv)
    devices.set_up()
    from pipeline import datasets
    from pipeline.tracking import records
    from pipeline.training import starts

    tracker = tracking.connect(config.experiment)
    with tracker.run(
        f"evaluate {config.run_id}", kind="evaluate", tags={"alpharho.evaluates": config.run_id}
    ) as run_id:
        tags = tracker.tags(config.run_id)
        trained = records.located(records.trained_config(config.run_id, tags), config)
        dataset = datasets.load(trained)
        records.require_same_pictures(dataset, tags)
        caveat = imagenet_note(trained.dataset, records.trained_weights(tags))
        model = tracker.load_model(config.run_id)
        below = tracker.metrics(config.run_id).get("reject_below", 0.0)
        start = starts.untrained(trained, dataset)
        scores = evaluate(model, trained, dataset, tracker, config.run_id, below, start, caveat=caveat)
        tracker.log_metrics(run_id, scores.as_metrics())
        print(summary(trained, scores, caveat))


if __name__ == "__main__":
    cli.run(main)
