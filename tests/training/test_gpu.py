"""On a real GPU: the numbers of a CPU, and mixed precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipeline import datasets
from pipeline.config import Cell, TrainConfig
from pipeline.features import engines
from pipeline.features.engines.keras import Keras
from pipeline.networks import backbones, devices
from pipeline.shell.errors import UserError
from pipeline.training import heads, schedules
from pipeline.training.finetune import NetworkTrainer
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Samples
from tests.bench import gpu as bench

CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=48, epochs=3, train_limit=400)
PRECISIONS = {"float32": 1e-3, "mixed_float16": 0.05}  # largest difference, in standard deviations of the features


@pytest.mark.gpu
def test_memory_is_taken_when_it_is_needed_and_float32_is_float32(gpu):
    assert all(map(tf.config.experimental.get_memory_growth, tf.config.list_physical_devices("GPU")))
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
def test_features_are_those_of_a_cpu(gpu, precision, tmp_path):
    pictures = np.random.default_rng(0).uniform(-1, 1, (70, 48, 48, 3)).astype(np.float32)
    backbone = backbones.load(Cell(0.5, 48), "tiny")
    with tf.device("CPU:0"):
        theirs = Keras(backbones.load(Cell(0.5, 48), "tiny"), compiled=False)(pictures)
    ours = engines.make("auto", backbone, str(tmp_path), pictures, precision)(pictures)
    assert np.abs(ours - theirs).max() <= PRECISIONS[precision] * theirs.std()


@pytest.mark.gpu
def test_heads_are_those_of_a_cpu(gpu):
    rng = np.random.default_rng(0)
    train, val = (
        Samples(rng.standard_normal((rows, 64), np.float32), rng.integers(0, 5, rows).astype(np.int32))
        for rows in (300, 100)
    )
    configs = [dataclasses.replace(CONFIG, learning_rate=rate) for rate in (1e-4, 1e-3, 1e-2)]
    start = (heads.random_head(64, 5, seed=0),)
    ours = heads.fit(train, val, start, configs, schedules.of(configs))
    with tf.device("CPU:0"):
        theirs = heads.fit(train, val, start, configs, schedules.of(configs))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.curves["val_loss"], other.curves["val_loss"], atol=1e-3)
        np.testing.assert_allclose(one.curves["train_loss"], other.curves["train_loss"], atol=1e-3)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_finetuning_gives_finite_scores_and_tables_lie_on_the_gpu(gpu, precision, tmp_path):
    config = dataclasses.replace(CONFIG, freeze_conv=False, epochs=1, precision=precision, work_dir=str(tmp_path))
    dataset = datasets.load(config)
    (fit,) = NetworkTrainer(config, dataset).fit([config])
    assert not fit.failure
    assert np.isfinite([curve[-1] for curve in fit.curves.values()]).all()
    assert fit.val_top1 > 0.5
    assert "GPU" in HeadTrainer(config, dataset).train_samples.features.device


def test_the_bench_is_refused_where_there_is_none():
    if devices.on_a_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="wanted a GPU"):
        bench.main()
