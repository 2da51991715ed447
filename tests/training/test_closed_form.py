"""The discriminant against scikit-learn's, and leaving one out against doing so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.covariance import EmpiricalCovariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.training import closed_form
from pipeline.training.closed_form import Discriminant, Moments

CLASSES, WIDTH = 4, 12
RNG = np.random.default_rng(3)
LABELS = RNG.permutation(np.repeat(np.arange(CLASSES), (30, 20, 15, 5)))
FEATURES = RNG.normal(size=(CLASSES, WIDTH))[LABELS] + RNG.normal(size=(70, WIDTH)) @ RNG.normal(size=(WIDTH, WIDTH))


def moments(rows=slice(None)) -> Moments:
    return Moments.of(FEATURES[rows], LABELS[rows], CLASSES)


class Shrunk(EmpiricalCovariance):
    """The pooled covariance plus 0.4 of its mean variance, on whatever rows it is given."""

    def __init__(self, covariance: np.ndarray | None = None) -> None:
        self.covariance = covariance

    def fit(self, rows, y=None):
        scatter = sum(
            np.cov(FEATURES[label == LABELS].T, bias=True) * (label == LABELS).sum() for label in range(CLASSES)
        )
        pooled = scatter / (len(LABELS) - CLASSES)
        self.covariance_ = pooled + 0.4 * np.trace(pooled) / WIDTH * np.eye(WIDTH)
        return self


@pytest.mark.parametrize("balanced", [False, True])
def test_the_head_is_scikit_learns_on_the_same_covariance(balanced):
    shrunk = Shrunk().fit(FEATURES).covariance_
    means = np.stack([FEATURES[label == LABELS].mean(axis=0) for label in range(CLASSES)])
    theirs = LinearDiscriminantAnalysis().fit(FEATURES, LABELS)
    theirs.coef_ = np.linalg.solve(shrunk, means.T).T
    priors = np.full(CLASSES, 1 / CLASSES) if balanced else theirs.priors_
    theirs.intercept_ = -0.5 * np.diag(means @ theirs.coef_.T) + np.log(priors)
    head = Discriminant(moments(), balanced).head(0.4)
    ours = softmax(FEATURES @ head.kernel + head.bias, axis=1)
    np.testing.assert_allclose(ours, theirs.predict_proba(FEATURES), atol=1e-5)


def scatter(rows=slice(None)) -> float:
    """The squared distances of rows to the means of their classes."""
    features, labels = FEATURES[rows], LABELS[rows]
    return sum(
        ((group := features[labels == label]) - group.mean(axis=0)).ravel() @ (group - group.mean(axis=0)).ravel()
        for label in range(CLASSES)
    )


@pytest.mark.parametrize("shrinkage", [0.05, 1.6])
def test_leaving_one_out_is_what_all_others_say(shrinkage):
    """With as much added to each variance, which is told in units of their mean."""
    _other, found = Discriminant(moments(), balanced=True).leave_one_out(FEATURES, LABELS, [0.4, shrinkage])
    for row in range(0, 70, 7):
        others = np.delete(np.arange(70), row)
        head = Discriminant(moments(others), balanced=True).head(shrinkage * scatter() / scatter(others))
        np.testing.assert_allclose(found[row], FEATURES[row] @ head.kernel + head.bias, rtol=1e-4, atol=1e-4)


def test_moments_of_parts_add_up_and_can_be_taken_away(monkeypatch):
    whole = moments()
    monkeypatch.setattr(closed_form, "AT_ONCE", 16)
    chunked, parts = moments(), moments(slice(0, 25)) + moments(slice(25, None))
    rest = whole - moments(slice(0, 25))
    for one, other in ((chunked, whole), (parts, whole), (rest, moments(slice(25, None)))):
        for field in dataclasses.fields(Moments):
            np.testing.assert_allclose(getattr(one, field.name), getattr(other, field.name), rtol=1e-9, atol=1e-9)


def test_a_fold_has_the_discriminant_of_all_other_rows():
    folds = np.arange(70) % 3
    found = closed_form.discriminants(FEATURES, LABELS, CLASSES, folds)
    (whole,) = closed_form.discriminants(FEATURES, LABELS, CLASSES)
    assert len(found) == 3
    changed = FEATURES.copy()
    changed[folds == 1] += 0.1
    moved = closed_form.discriminants(changed, LABELS, CLASSES, folds)[1]
    alike = [softmax(FEATURES @ head.kernel, axis=1) for head in (found[1], moved, whole)]
    assert np.abs(alike[0] - alike[1]).max() < np.abs(alike[0] - alike[2]).max()


def test_shrinkage_and_temperature_suit_pictures_that_were_left_out():
    wide = RNG.normal(size=(70, 60)).astype(np.float32)  # noise: nearly as many features as rows
    (head,) = closed_form.discriminants(np.hstack([FEATURES, wide]), LABELS, CLASSES)
    fresh = np.hstack([FEATURES, RNG.normal(size=(70, 60))])
    probabilities = softmax(fresh @ head.kernel + head.bias, axis=1)
    assert (probabilities.argmax(axis=1) == LABELS).mean() > 0.5
    assert probabilities.max(axis=1).mean() < 0.95


def test_one_picture_of_each_class_is_enough():
    (head,) = closed_form.discriminants(FEATURES[:3], np.arange(3), 3)
    assert (FEATURES[:3] @ head.kernel + head.bias).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_class_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="every class"):
        Discriminant(Moments.of(FEATURES, LABELS, CLASSES + 1))


def test_balanced_classes_are_settled_by_the_mean_of_their_accuracies():
    found = closed_form.discriminants(FEATURES, LABELS, CLASSES, balanced=True, aim="balanced_top1")
    rare = (FEATURES @ found[0].kernel + found[0].bias).argmax(axis=1)[LABELS == 3]
    (plain,) = closed_form.discriminants(FEATURES, LABELS, CLASSES)
    assert (rare == 3).sum() >= ((FEATURES @ plain.kernel + plain.bias).argmax(axis=1)[LABELS == 3] == 3).sum()
