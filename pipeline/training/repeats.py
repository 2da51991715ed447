"""A setting fitted again with other seeds: how much of a score is the order of the pictures, and how much their cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.config import TrainConfig
from pipeline.datasets import Dataset
from pipeline.training.frozen import HeadTrainer
from pipeline.training.heads import Head


def fitted(config: TrainConfig, dataset: Dataset, rates: np.ndarray, count: int) -> Mapping[str, Sequence[Head]]:
    """`count` heads of each kind, for the seeds after that of `config`.

    Args:
        rates: (epochs,), of the fit that is repeated; none: what heads start from, untrained.

    Returns:
        refit: trained on train + val, in another order, with other dropout, from another start where that is noise;
        cut: the same, but on the train part of another cut into train and val, and so on fewer pictures.

    Raises UserError where the loss stops being a number.
    """
    refits, cuts = [], []
    for number in range(1, count + 1):
        other = dataclasses.replace(config, seed=config.seed + number)
        trainer = HeadTrainer(other, dataset)
        refits.append(trainer.refit(other, rates).best[0])
        start = trainer.untrained
        fit = trainer.fit([other])[0] if len(rates) or start is None else start
        fit.require_finite()
        cuts.append(fit.best[0])
    return {"refit": refits, "cut": cuts}
