"""What a trained model reaches on the test split."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.scoring.scores import differences, score
from pipeline.training import starts

CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return dataclasses.replace(CONFIG, work_dir=str(tmp_path_factory.mktemp("work")))


@pytest.fixture(scope="module")
def dataset(config):
    return datasets.load(config)


@pytest.fixture(scope="module")
def model(config) -> keras.Model:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(256, 10)).astype(np.float32)
    return backbones.with_head(backbones.load(config.cell, "tiny"), kernel, np.zeros(10, np.float32))


def test_the_scores_are_those_of_the_model_on_the_test_pictures(model, config, dataset):
    scores = score(model, config, dataset)
    pictures = np.stack([picture for picture, _label in dataset.test.pictures()])
    probabilities = model.predict(pictures, verbose=0)
    right = probabilities.argmax(axis=1) == dataset.test.labels
    assert scores.top1 == pytest.approx(right.mean())
    assert scores.confusion.sum() == len(pictures) == 360
    assert np.trace(scores.confusion) == right.sum()
    five = [label in np.argsort(row)[-5:] for row, label in zip(probabilities, dataset.test.labels, strict=True)]
    assert scores.top5 == pytest.approx(np.mean(five))
    low, high = scores.interval
    assert low < scores.top1 < high


def test_what_is_answered_below_no_threshold_and_below_one(model, config, dataset):
    everything, half = score(model, config, dataset), score(model, config, dataset, reject_below=0.5)
    pictures = np.stack([picture for picture, _label in dataset.test.pictures()])
    probabilities = model.predict(pictures, verbose=0)
    sure, right = probabilities.max(axis=1) >= 0.5, probabilities.argmax(axis=1) == dataset.test.labels
    assert (everything.answered, everything.answered_top1) == (1.0, everything.top1)
    assert half.answered == pytest.approx(sure.mean(), abs=1 / 360)
    assert half.answered_top1 == pytest.approx(right[sure].mean(), abs=0.01)
    assert half.coverage["coverage_pct"].max() == 100
    assert "test_top1_answered" not in score(model, config, dataset, reject_below=1.1).as_metrics()


def test_an_output_behind_the_classes_is_a_wrong_answer(model, config, dataset):
    convolutions, kernel, bias = backbones.parts(model)
    whole = np.zeros((256, 1000), np.float32)
    whole[:, :10], shift = kernel, np.full(1000, -100, np.float32)
    shift[:10] = bias
    shift[999] = 1000
    backbone = Backbone(config.cell, "tiny", convolutions, None)
    scores = score(backbones.with_head(backbone, whole, shift), config, dataset)
    assert scores.top1 == 0
    assert scores.confusion.shape == (1000, 1000)
    assert scores.confusion[:10, 999].sum() == 360
    assert 0 < scores.top5 < score(model, config, dataset).top5


def test_without_a_start_there_is_no_untrained_score(model, config, dataset):
    scores = score(model, config, dataset)
    assert scores.untrained_top1 is None
    assert "untrained_top1" not in scores.as_metrics()


def test_there_is_a_row_of_answers_for_each_test_picture(model, config, dataset):
    backbone, head = starts.untrained(config, dataset)
    scores = score(model, config, dataset, start=(backbone, head))
    answers, test = scores.answers, dataset.test
    assert answers["picture"].to_list() == list(test.ids)
    assert (answers["truth"].to_numpy() == test.labels).all()
    assert (answers["answer"] == answers["truth"]).mean() == scores.top1
    assert (answers["untrained"] == answers["truth"]).mean() == scores.untrained_top1
    right = answers[answers["answer"] == answers["truth"]]
    assert (right["p_answer"] == right["p_truth"]).all()
    assert (answers["p_answer"] >= answers["p_truth"]).all()
    assert len(answers["group"].unique()) == len(test)
    assert set(score(model, config, dataset).answers["untrained"]) == {-1}


def test_the_start_is_scored_beside_the_model(model, config, dataset):
    backbone, head = starts.untrained(config, dataset)
    start = score(backbones.with_head(backbone, head.kernel, head.bias), config, dataset)
    assert score(model, config, dataset, start=(backbone, head)).untrained_top1 == start.top1 > 0.8


def test_differences_stand_only_where_something_was_published(config):
    paper_cell = TrainConfig(dataset="stanford_dogs", alpha=0.75, resolution=192)
    assert differences(paper_cell, 0.805) == pytest.approx({"delta_paper": 0.0, "delta_replication": 0.099})
    assert differences(config, 0.9) == {}
    assert differences(dataclasses.replace(paper_cell, alpha=0.5), 0.8) == {}


@pytest.mark.realdata
@pytest.mark.slow
def test_imagenets_own_columns_reach_83_percent_of_the_dogs_untrained(real_data, dogs_work):
    """83.75 % on these 1,200 pictures, all of which ImageNet's training set contains; 84.4 by the fast transform."""
    config = TrainConfig(
        alpha=0.75,
        data_dir=str(real_data / "tfds"),
        weights=str(real_data / "keras" / "models" / "mobilenet_7_5_224_tf.h5"),
        work_dir=str(dogs_work),
    )
    dataset = datasets.load(config)
    backbone = backbones.load(config.cell, config.weights)
    columns = backbones.imagenet_columns(dataset.class_names)
    assert (columns >= 0).all()
    model = backbones.with_head(backbone, backbone.classifier.kernel[:, columns], backbone.classifier.bias[columns])
    scores = score(model, config, dataset, start=starts.untrained(config, dataset))
    assert scores.untrained_top1 == scores.top1
    assert scores.top1 == pytest.approx(0.8375, abs=0.005)
