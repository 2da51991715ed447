"""What can be set: one dataclass for each entry point, with every default; each checks itself when it is made."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from pipeline.config.architectures import IMAGENET_CLASSES, BackboneName
from pipeline.config.cells import MOBILENET_BLOCKS, Cell, check_weights
from pipeline.shell.errors import require

KNOWN_DATASETS = ("stanford_dogs", "cifar10", "digits", "letters", "folder:PATH")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures, and how they are cut."""

    dataset: str = "stanford_dogs"
    """stanford_dogs, cifar10, digits, letters, folder:PATH, or any image classification set of TFDS"""
    labels: str = ""
    """CSV table (file, label; also split, group) of a folder whose pictures lie in no class folders"""
    group_by: str = "auto"
    """what of a folder is dealt to one side beside (near) copies: auto, folder, or a regular expression on the name"""
    data_dir: str = "work/data"
    """where TFDS keeps its data sets, or is to put them"""
    work_dir: str = "work"
    """where feature tables are kept"""
    experiment: str = "alpharho"
    """MLflow experiment; where it is not given, that of `mlflow run`, or of MLFLOW_EXPERIMENT_NAME or _ID"""
    seed: int = 0
    """of the cut, the initial heads, the batches and the search"""
    val_fraction: float = 0.15
    """part of the training pictures that the search validates on, stratified"""
    test_fraction: float = 0.2
    """part kept for the test where the data set has no test split; the same for every seed"""
    train_limit: int = 0
    """use only so many training pictures, a stratified draw by seed; 0 = all"""
    skip_unreadable: bool = False
    """leave out pictures that cannot be decoded, and count them, instead of stopping"""

    def __post_init__(self) -> None:
        require(bool(self.dataset), "the name of a data set", self.dataset, f"known: {', '.join(KNOWN_DATASETS)}")
        for field in ("val_fraction", "test_fraction"):
            value = getattr(self, field)
            require(0 < value < 1, f"{field} between 0 and 1, both excluded", value)
        require(
            not self.labels or self.dataset.startswith("folder:"),
            "--labels for a folder of pictures",
            f"--labels {self.labels} with {self.dataset}",
            "--dataset folder:PATH",
        )
        require(_is_pattern(self.group_by), "group_by auto, folder or a regular expression", self.group_by)
        require(self.train_limit >= 0, "train_limit >= 0", self.train_limit, "0 takes all pictures")
        require(0 <= self.seed < 2**31, "a seed from 0 to 2147483647", self.seed)


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


LrSchedule = Literal["auto", "plateau", "constant", "cosine"]
HeadInit = Literal["auto", "imagenet", "discriminant", "random"]
Protocol = Literal["paper", "replication"]
Augment = Literal["flip_crop", "crop", "none"]
Unfreeze = int | Literal["all"]
EngineName = Literal["auto", "keras", "litert"]
Views = Literal["none", "flip"]
Aim = Literal["top1", "balanced_top1"]
ClassWeights = Literal["none", "balanced"]
Precision = Literal["float32", "mixed_float16"]

OF_FINETUNING = frozenset({"unfreeze", "layer_decay", "label_smoothing"})  # settings that nothing else reads


@dataclass(frozen=True, kw_only=True)
class FitConfig(DataConfig):
    """What every fit of a run or a sweep shares."""

    backbone: BackboneName = "mobilenet"
    """the network; inception_v3 and efficientnetv2_b0 have no width multiplier, so their alpha is 1.0"""
    weights: str = "imagenet"
    """imagenet (Keras' own), tiny (shipped), none (from scratch), or a FILE of the backbone's (.h5, .weights.h5)"""
    freeze_conv: bool = True
    """train the head alone on features computed once; false trains the whole network on pictures"""
    head_init: HeadInit = "auto"
    """what heads start from: ImageNet's own columns (auto: if half of the classes match), a discriminant, or noise"""
    protocol: Protocol = "paper"
    """paper: a head for the data set's classes; replication: a 1000-way head whose first outputs are the classes"""
    epochs: int = 30
    """passes over the training pictures"""
    batch_size: int | Literal["auto"] = "auto"
    """pictures of a step; auto: 256 for heads on frozen features, 128 from noise, 32 for networks and replications"""
    dropout: float = 0.001
    """on the pooled features, while training; Keras' MobileNet has 0.001"""
    aim: Aim = "top1"
    """what the best epoch and the best trial are chosen by; balanced_top1 is the mean of the classes' accuracies"""
    l2: float | Literal["auto"] = "auto"
    """how strongly a head on frozen features is drawn back to its start; auto: 0.1, and 0 where that is noise"""
    class_weights: ClassWeights = "none"
    """balanced has the pictures of each class count for as much together as those of any other"""
    lr_schedule: LrSchedule = "auto"
    """cosine falls to zero, and the last epoch counts; plateau halves when val_loss stalls, and the best one counts"""
    augment: Augment = "flip_crop"
    """of pictures, when the whole network is trained"""
    unfreeze: Unfreeze = "all"
    """how many of MobileNet's 13 blocks, the last ones, are trained where freeze_conv is false; all has conv1, too"""
    layer_decay: float = 0.8
    """fine-tuning: a block's learning rate, as a part of that of the block after it; the head has learning_rate"""
    label_smoothing: float = 0.0
    """fine-tuning: part of every label that goes to all classes alike; heads on frozen features have none"""
    engine: EngineName = "auto"
    """what runs frozen convolutions: litert on a CPU and keras on a GPU is what auto takes"""
    precision: Precision = "float32"
    """mixed_float16 computes convolutions in half precision, features and fine-tuning alike; it wants a GPU"""
    views: Views = "none"
    """flip trains heads on each picture's mirror image, too, which doubles an epoch; not for digits and letters"""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that this configuration trains."""
        raise TypeError(f"{type(self).__name__} names no cells")

    def outputs(self, class_count: int) -> int:
        """How many outputs the head has for a data set of `class_count` classes.

        Raises UserError where the 1000-way head has too few.
        """
        if self.protocol == "paper":
            return class_count
        require(
            class_count <= IMAGENET_CLASSES,
            f"at most {IMAGENET_CLASSES} classes for protocol replication",
            class_count,
            "--protocol paper",
        )
        return IMAGENET_CLASSES

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs >= 1, "epochs >= 1", self.epochs)
        require(self.batch >= 1, "batch_size auto, or >= 1", self.batch_size)
        require(0 <= self.dropout < 1, "dropout from 0 to below 1", self.dropout)
        require(self.l2 == "auto" or self.l2 >= 0, "l2 auto, or >= 0", self.l2)
        require(
            self.head_init != "discriminant" or (self.protocol == "paper" and self.weights != "none"),
            "protocol paper, and trained weights, for head_init discriminant",
            f"protocol {self.protocol}, weights {self.weights}",
            "leave --head_init out",
        )
        require(
            self.weights != "none" or not self.freeze_conv,
            "trained weights where the convolutions are frozen",
            "weights none with freeze_conv true",
            "choose --weights imagenet, or --freeze_conv false to train from scratch",
        )
        require(
            self.weights not in ("none", "tiny") or self.head_init != "imagenet",
            "ImageNet weights for head_init imagenet",
            f"weights {self.weights}",
            "choose --head_init random",
        )
        require(
            self.views == "none" or self.freeze_conv,
            "views none where the whole network is trained",
            f"views {self.views} with freeze_conv false",
            "--augment flip_crop mirrors pictures there",
        )
        require(
            self.precision == "float32" or self.engine != "litert",
            "engine auto or keras for precision mixed_float16",
            "engine litert, which computes in float32",
            "leave --engine out",
        )
        self._check_finetuning()
        for cell in self.cells:
            check_weights(cell, self.weights)

    @property
    def schedule(self) -> Literal["plateau", "constant", "cosine"]:
        """What lr_schedule comes to.

        auto anneals heads on frozen features, and is plateau where networks are trained, and for the replication,
        which used it.
        """
        if self.lr_schedule == "auto":
            return "cosine" if self.freeze_conv and self.protocol == "paper" else "plateau"
        return self.lr_schedule

    @property
    def batch(self) -> int:
        """What batch_size comes to."""
        if self.batch_size != "auto":
            return self.batch_size
        if not self.freeze_conv or self.protocol == "replication":
            return 32
        return 128 if self.head_init == "random" else 256  # from noise it takes more steps (docs/heads.md)

    @property
    def finetunes(self) -> bool:
        """Whether trained convolutions are trained on; neither frozen nor from scratch."""
        return not self.freeze_conv and self.weights != "none"

    def _check_finetuning(self) -> None:
        require(
            self.unfreeze == "all" or 1 <= self.unfreeze <= MOBILENET_BLOCKS,
            f"unfreeze all, or 1 to {MOBILENET_BLOCKS} blocks",
            self.unfreeze,
            "--freeze_conv true trains the head alone",
        )
        require(
            self.unfreeze == "all" or self.backbone == "mobilenet",
            f"unfreeze all for backbone {self.backbone}: blocks are MobileNet's",
            self.unfreeze,
            "leave --unfreeze out",
        )
        require(
            self.unfreeze == "all" or self.finetunes,
            "unfreeze all where no trained convolutions are trained on",
            f"unfreeze {self.unfreeze} with weights {self.weights} and freeze_conv {str(self.freeze_conv).lower()}",
            "add --freeze_conv false and trained weights, or leave --unfreeze out",
        )
        require(0 < self.layer_decay <= 1, "layer_decay above 0, up to 1", self.layer_decay, "1 is one rate for all")
        require(0 <= self.label_smoothing < 1, "label_smoothing from 0 to below 1", self.label_smoothing)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(FitConfig):
    """One fit of one cell."""

    alpha: float = 1.0
    """width multiplier"""
    resolution: int = 224
    """input side, px"""
    learning_rate: float = 1e-3
    """Adam's, before lr_schedule changes it"""
    beta_1: float = 0.9
    """Adam's memory of the gradient"""
    beta_2: float = 0.999
    """Adam's memory of the squared gradient"""
    export_backbone: str = ""
    """write the trained convolutions to this .weights.h5 file (float16), to be used as --weights FILE"""

    @property
    def cell(self) -> Cell:
        """What is trained."""
        return Cell(self.alpha, self.resolution, self.backbone)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The one."""
        return (self.cell,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_adam(self.learning_rate, self.beta_1, self.beta_2)
        require(
            not self.export_backbone or self.export_backbone.endswith(".weights.h5"),
            "export_backbone to end in .weights.h5",
            self.export_backbone,
        )


def check_adam(learning_rate: float, beta_1: float, beta_2: float) -> None:
    """Raises UserError where Adam would not be defined."""
    require(
        math.isfinite(learning_rate) and learning_rate > 0,
        "a learning_rate > 0",
        learning_rate,
        "0.001 is Adam's usual",
    )
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        require(0 < beta < 1, f"{name} between 0 and 1, both excluded", beta, "Adam's usual are 0.9 and 0.999")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Which trained run is tested."""

    run_id: str = ""
    """the MLflow run that holds the model; it is tested on the data that it was trained for"""
    dataset: str = ""
    """folder:PATH, if a folder of pictures is not where the run found it"""
    labels: str = ""
    """its table of labels, if that is not where the run found it"""
    data_dir: str = ""
    """where TFDS keeps the data set, if that is not where the run found it"""
    work_dir: str = ""
    """where feature tables are kept, if not where the run kept them"""
    experiment: str = DataConfig.experiment
    """MLflow experiment that holds the run"""

    def __post_init__(self) -> None:
        require(bool(self.run_id), "the id of a finished train or cell run", self.run_id, "see it in `mlflow ui`")
