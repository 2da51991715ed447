"""A fit on its way, and who stays in training."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training import fit
from pipeline.training.fit import Course


def course(index: int, *top1: float, loss: float = 1.0) -> Course[str]:
    """Epochs with these val_top1; what was trained is named by its epoch. `loss` is the last val_loss."""
    made: Course[str] = Course(index)
    for epoch, score in enumerate(top1, start=1):
        row = {"train_loss": 1.0, "val_loss": loss if epoch == len(top1) else 1.0, "val_top1": score}
        made.add({**row, "learning_rate": 0.1 / epoch}, lambda: f"epoch {epoch}")  # noqa: B023 - called at once
    return made


def test_the_best_epoch_is_the_first_of_the_highest():
    fit = course(0, 0.4, 0.7, 0.7, 0.6).result()
    assert (fit.best_epoch, fit.best, fit.val_top1) == (2, "epoch 2", 0.7)
    assert fit.rates.tolist() == [0.1, 0.05]


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

    def watch(epoch, indices, val_top1):
        told.append((epoch, indices.tolist(), val_top1.tolist()))
        return val_top1 > 0.2

    assert [left.index for left in fit.remaining(courses, watch, epochs=2)] == [2]
    assert told == [(1, [0, 2], [0.1, 0.3])]
    assert [made.pruned for made in courses] == [True, False, False]


def test_after_the_last_epoch_nobody_is_pruned():
    made = course(0, 0.1)
    fit.remaining([made], lambda epoch, indices, val_top1: indices < 0, epochs=1)
    assert not made.result().pruned


def test_where_all_have_failed_the_watch_is_not_asked():
    def refuse(epoch, indices, val_top1):
        raise AssertionError("asked about nobody")

    assert fit.remaining([course(0, 0.1, loss=np.nan)], refuse, epochs=2) == []
