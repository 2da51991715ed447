"""Every knob of alpharho, its default and its allowed values; nothing else holds them.

The command-line flags (pipeline/shell/cli.py) are generated from these dataclasses, MLproject lists the same names and
defaults (a test compares them), and each object checks itself when it is made, before anything is downloaded.
"""

from __future__ import annotations

from pipeline.config.architectures import ARCHITECTURES, IMAGENET_CLASSES, Architecture, BackboneName
from pipeline.config.cells import (
    BASE_RESOLUTION,
    MOBILENET_BLOCKS,
    TINY_ALPHAS,
    Cell,
    check_weights,
)
from pipeline.config.documents import ReportConfig, ResultsConfig
from pipeline.config.exports import MODEL_PREFIXES, ExportConfig, Format, PredictConfig, Shown
from pipeline.config.ranges import (
    FINETUNING_RATE_RANGE,
    HEAD_FIRST_EPOCHS,
    HEAD_FIRST_RATES,
    LEARNING_RATE_RANGE,
    MEDIAN_STARTUP_TRIALS,
    MEDIAN_WARMUP,
    ONE_MINUS_BETA_1_RANGE,
    ONE_MINUS_BETA_2_RANGE,
    PLATEAU_FACTOR,
    PLATEAU_MIN_DELTA,
    PLATEAU_PATIENCE,
    PRUNER_CHECKS,
    PRUNER_REDUCTION,
    SAMPLER_BEST,
    SAMPLER_WINDOW,
)
from pipeline.config.searches import Folds, PruneConfig, Pruner, StatusConfig, SweepConfig
from pipeline.config.settings import (
    KNOWN_DATASETS,
    OF_FINETUNING,
    Aim,
    Augment,
    ClassWeights,
    DataConfig,
    EngineName,
    EvaluateConfig,
    FitConfig,
    HeadInit,
    LrSchedule,
    Precision,
    Protocol,
    TrainConfig,
    Unfreeze,
    Views,
    check_adam,
)
from pipeline.config.spelling import as_params, spell

__all__ = [
    "ARCHITECTURES",
    "BASE_RESOLUTION",
    "FINETUNING_RATE_RANGE",
    "HEAD_FIRST_EPOCHS",
    "HEAD_FIRST_RATES",
    "IMAGENET_CLASSES",
    "KNOWN_DATASETS",
    "LEARNING_RATE_RANGE",
    "MEDIAN_STARTUP_TRIALS",
    "MEDIAN_WARMUP",
    "MOBILENET_BLOCKS",
    "MODEL_PREFIXES",
    "OF_FINETUNING",
    "ONE_MINUS_BETA_1_RANGE",
    "ONE_MINUS_BETA_2_RANGE",
    "PLATEAU_FACTOR",
    "PLATEAU_MIN_DELTA",
    "PLATEAU_PATIENCE",
    "PRUNER_CHECKS",
    "PRUNER_REDUCTION",
    "SAMPLER_BEST",
    "SAMPLER_WINDOW",
    "TINY_ALPHAS",
    "Aim",
    "Architecture",
    "Augment",
    "BackboneName",
    "Cell",
    "ClassWeights",
    "DataConfig",
    "EngineName",
    "EvaluateConfig",
    "ExportConfig",
    "FitConfig",
    "Folds",
    "Format",
    "HeadInit",
    "LrSchedule",
    "Precision",
    "PredictConfig",
    "Protocol",
    "PruneConfig",
    "Pruner",
    "ReportConfig",
    "ResultsConfig",
    "Shown",
    "StatusConfig",
    "SweepConfig",
    "TrainConfig",
    "Unfreeze",
    "Views",
    "as_params",
    "check_adam",
    "check_weights",
    "spell",
]
