"""A fit on its way, and who stays in training."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training import fit
from pipeline.training.fit import Course


def course(index: int, *top1: float, loss: float = 1.0, losses: tuple[float, ...] = ()) -> Course[str]:
    """Epochs with these val_top1; what was trained is named by its epoch.

    Args:
        loss: the last val_loss, after 1s.
        losses: all of them instead.
    """
    made: Course[str] = Course(index)
    for epoch, (score, val_loss) in enumerate(
        zip(top1, losses or (*[1.0] * (len(top1) - 1), loss), strict=True), start=1
    ):
        row = {"train_loss": 1.0, "val_loss": val_loss, "val_top1": score}
        made.add({**row, "learning_rate": 0.1 / epoch}, lambda: f"epoch {epoch}")  # noqa: B023 - called at once
    return made


@pytest.mark.parametrize(
    ("losses", "best"),
    [((1.0, 0.9, 0.8, 0.1), 3), ((1.0, 0.8, 0.9, 0.1), 2), ((1.0, 0.9, 0.9, 0.1), 2)],
    ids=["the second has the lower loss", "the first has the lower loss", "equal losses: the first"],
)
def test_the_best_epoch_has_the_highest_top1_and_of_equal_ones_the_lowest_loss(losses, best):
    fit = course(0, 0.4, 0.7, 0.7, 0.6, losses=losses).result()
    assert (fit.best_epoch, fit.best, fit.val_top1) == (best, f"epoch {best}", 0.7)
    assert fit.rates.tolist() == [0.1 / epoch for epoch in range(1, best + 1)]


def test_without_validation_the_last_epoch_is_the_best():
    made: Course[int] = Course(0)
    for epoch in range(3):
        made.add({"train_loss": 1.0, "learning_rate": 0.1}, lambda: epoch)  # noqa: B023 - called at once
    assert (made.result().best_epoch, made.result().best) == (3, 2)


def test_a_broken_loss_is_named_with_its_epoch():
    assert course(0, 0.5, 0.1, loss=np.nan).result().failure == "val_loss is nan in epoch 2"


def test_no_epoch_no_result():
    with pytest.raises(ValueError, match="without an epoch"):
        Course(0).result()


def test_the_watch_chooses_among_those_that_have_not_failed():
    courses = [course(0, 0.1), course(1, 0.2, loss=np.inf), course(2, 0.3)]
    told = []

    def watch(epoch, indices, scores):
        told.append((epoch, indices.tolist(), {name: values.tolist() for name, values in scores.items()}))
        return scores["val_top1"] > 0.2

    assert [left.index for left in fit.remaining(courses, watch, epochs=2)] == [2]
    rest = {"train_loss": [1.0, 1.0], "val_loss": [1.0, 1.0], "learning_rate": [0.1, 0.1]}
    assert told == [(1, [0, 2], {"val_top1": [0.1, 0.3], **rest})]
    assert [made.pruned for made in courses] == [True, False, False]


def test_after_the_last_epoch_nobody_is_pruned():
    made = course(0, 0.1)
    fit.remaining([made], lambda epoch, indices, scores: indices < 0, epochs=1)
    assert not made.result().pruned


def test_where_all_have_failed_the_watch_is_not_asked():
    def refuse(epoch, indices, scores):
        raise AssertionError("asked about nobody")

    assert fit.remaining([course(0, 0.1, loss=np.nan)], refuse, epochs=2) == []


def test_the_scores_of_logits():
    found = fit.scores_of(np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), np.array([0, 0, 1, 1]))
    assert (found["val_top1"].tolist(), found["val_balanced_top1"].tolist()) == ([0.75], [0.75])
    right = np.log1p(np.exp(-2))  # -log of a softmax
    assert found["val_loss"] == pytest.approx([right + 2 / 4])
    uneven = fit.scores_of(np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1]))
    assert (uneven["val_top1"].tolist(), uneven["val_balanced_top1"].tolist()) == ([0.75], [0.5])
