"""What a trained model reaches on the test split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from pipeline.config import TrainConfig
from pipeline.datasets import Dataset
from pipeline.datasets.splits import together
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.scoring import metrics
from pipeline.scoring.published import find_published
from pipeline.training.heads import Head


@dataclass(frozen=True)
class TestScores:
    """Scores on the test split; accuracies are fractions.

    Attributes:
        interval: 95 % Wilson interval of top1.
        untrained_top1: of what heads start from, before any training; None where that does not know the classes.
        pictures_per_second: from encoded picture to features, as measured when the test features were made.
        unshared_top1: of the test pictures that are no (near) copies of training pictures; None if all are, or none is.
        answers: a row a picture: picture (its id), truth and answer (outputs' numbers), p_answer and p_truth
            (probabilities), untrained (what the start answers, -1 without one), and group (a number for what belongs
            together, such as near copies).
        reject_below: probability below which none of the classes is answered.
        answered: part of the test pictures of which one is answered then.
        answered_top1: of these; NaN where there is none.
        coverage: metrics.coverage_table of the test pictures.
        confusion: int (outputs, outputs), rows are the truth; the outputs behind the data set's classes, which the
            replication's protocol has, are true of no picture.
    """

    top1: float
    interval: tuple[float, float]
    top5: float
    untrained_top1: float | None
    pictures_per_second: float
    confusion: np.ndarray
    reject_below: float
    answered: float
    answered_top1: float
    coverage: pd.DataFrame
    answers: pd.DataFrame
    unshared_top1: float | None = None

    @property
    def balanced_top1(self) -> float:
        """The mean of the classes' accuracies, however many test pictures each has."""
        pictures = self.confusion.sum(axis=1)
        return float(np.mean(self.confusion.diagonal()[pictures > 0] / pictures[pictures > 0]))

    def as_metrics(self) -> dict[str, float]:
        """Under the names that MLflow shows."""
        low, high = self.interval
        shown = {
            "test_top1": self.top1,
            "test_top1_low": low,
            "test_top1_high": high,
            "test_top5": self.top5,
            "test_balanced_top1": self.balanced_top1,
            "test_answered": self.answered,
            "test_pictures": float(self.confusion.sum()),
            "pictures_per_second": self.pictures_per_second,
        }
        known = {"untrained_top1": self.untrained_top1, "test_top1_unshared": self.unshared_top1}
        known |= {"test_top1_answered": self.answered_top1} if self.answered else {}
        return shown | {name: value for name, value in known.items() if value is not None}


def score(
    model: keras.Model,
    config: TrainConfig,
    dataset: Dataset,
    reject_below: float = 0.0,
    start: tuple[Backbone, Head] | None = None,
) -> TestScores:
    """Reads the test split, in single precision, as the model computes wherever it is loaded.

    Args:
        model: as backbones.with_head makes it, its first outputs being the classes of `dataset`.
        config: what it was trained with.
        reject_below: the probability below which it is to answer none of the classes.
        start: convolutions and a head, before any training.
    """
    convolutions, kernel, bias = backbones.parts(model)
    trained = Backbone(config.cell, config.weights, convolutions, None)
    test = dataset.test
    table = load_table(test, dataset.source, trained, config.work_dir, config.engine)
    probabilities = _softmax(table.features @ kernel + bias)
    answers, new = probabilities.argmax(axis=1), ~dataset.is_known
    confusion = metrics.confusion_counts(test.labels, answers, len(bias))
    confidence, right = probabilities.max(axis=1), answers == test.labels
    sure = confidence >= reject_below
    untrained = np.full(len(test), -1) if start is None else _answers(*start, config, dataset)
    return TestScores(
        top1=metrics.top_k(probabilities, test.labels, 1),
        interval=metrics.wilson_interval(int(np.trace(confusion)), len(test)),
        top5=metrics.top_k(probabilities, test.labels, 5),
        untrained_top1=None if start is None else float(np.mean(untrained == test.labels)),
        pictures_per_second=table.pictures_per_second,
        confusion=confusion,
        reject_below=reject_below,
        answered=float(sure.mean()),
        answered_top1=float(right[sure].mean()) if sure.any() else math.nan,
        coverage=metrics.coverage_table(confidence, right),
        answers=pd.DataFrame(
            {
                **{"picture": list(test.ids), "truth": test.labels, "answer": answers, "p_answer": confidence},
                "p_truth": probabilities[np.arange(len(test)), test.labels],
                **{"untrained": untrained, "group": together(test)},
            }
        ),
        unshared_top1=None if new.all() or not new.any() else float(np.mean(answers[new] == test.labels[new])),
    )


def top1s(
    backbone: Backbone, heads: Mapping[str, Sequence[Head]], config: TrainConfig, dataset: Dataset
) -> pd.DataFrame:
    """Test top-1 of several heads on the same convolutions: a row each, kind (its key) and test_top1."""
    rows = [
        {"kind": kind, "test_top1": float(np.mean(_answers(backbone, head, config, dataset) == dataset.test.labels))}
        for kind, several in heads.items()
        for head in several
    ]
    return pd.DataFrame(rows, columns=["kind", "test_top1"])


def differences(config: TrainConfig, top1: float) -> dict[str, float]:
    """Ours minus the published top-1 of the same cell and data set, as fractions: delta_paper, delta_replication."""
    rows = {
        f"delta_{source}": find_published(config.cell, config.dataset, source) for source in ("paper", "replication")
    }
    return {name: top1 - row.top1 for name, row in rows.items() if row is not None}


def _answers(backbone: Backbone, head: Head, config: TrainConfig, dataset: Dataset) -> np.ndarray:
    """Answers (n,) to the test pictures."""
    features = load_table(dataset.test, dataset.source, backbone, config.work_dir, config.engine).features
    return (features @ head.kernel + head.bias).argmax(axis=1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """float (n, C) -> probabilities (n, C)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
