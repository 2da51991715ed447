"""Which way a configuration is trained: the head on cached features, or the whole network on pictures."""

from __future__ import annotations

from pipeline.config import TrainConfig
from pipeline.datasets import Dataset
from pipeline.finetune import NetworkTrainer
from pipeline.transfer import HeadTrainer

Trainer = HeadTrainer | NetworkTrainer


def trainer_for(config: TrainConfig, dataset: Dataset) -> Trainer:
    """Loads the cell's backbone, and where the convolutions are frozen its feature table."""
    return HeadTrainer(config, dataset) if config.freeze_conv else NetworkTrainer(config, dataset)
