"""Frames as reports/tables makes them, with made-up numbers that hang together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import Cell
from pipeline.networks import costs
from pipeline.scoring import metrics
from pipeline.scoring.published import find_published

DIGITS = (Cell(0.25, 48), Cell(0.25, 96), Cell(0.5, 48), Cell(0.5, 96))
DOGS = (Cell(0.75, 192), Cell(0.75, 224), Cell(1.0, 192), Cell(1.0, 224))
SIXTEEN = tuple(Cell(alpha, side) for alpha in (0.25, 0.5, 0.75, 1.0) for side in (128, 160, 192, 224))
HOSTILE = (
    "<b>x</b>",
    '<a href="javascript:alert(1)">x</a>',
    'a "quoted" one',
    "two\nlines",
    "北京犬",
    "мопс",
    "می\u200cروم",  # Persian, which needs the joiner
    "\u202e👩\u200d🌾",  # turns the direction of all that follows
    "%{y}",
    "",
)


def sweeps(*datasets: str) -> pd.DataFrame:
    return pd.DataFrame({"sweep": list(datasets), "dataset": list(datasets), "classes": 10.0})


def cells(
    sweep: str, chosen: tuple[Cell, ...] = DIGITS, classes: int = 10, level: float = 0.9, pictures: int = 720
) -> pd.DataFrame:
    """All tested, the larger the better."""
    return pd.DataFrame([_cell(sweep, cell, classes, level, pictures) for cell in chosen])


def _cell(sweep: str, cell: Cell, classes: int, level: float, pictures: int) -> dict[str, Any]:
    correct = round(pictures * (level + 0.1 * (cell.alpha * cell.rho - 0.5) / 2))
    low, high = metrics.wilson_interval(correct, pictures)
    top1 = correct / pictures
    known = {source: find_published(cell, sweep, source) for source in ("paper", "replication")}
    paper, replication = (math.nan if row is None else row.top1 for row in known.values())
    return {
        "sweep": sweep,
        "cell": cell.name,
        "alpha": cell.alpha,
        "resolution": cell.resolution,
        "params_total": float(costs.mobilenet_params(cell, classes)),
        "mult_adds": float(costs.mobilenet_mult_adds(cell, classes)),
        "val_top1": top1 + 0.01,
        "test_top1": top1,
        "test_top1_low": low,
        "test_top1_high": high,
        "test_top5": 0.99,
        "seconds": 31.7,
        "trials_complete": 29.0,
        "trials_pruned": 10.0,
        "trials_failed": 1.0,
        "paper_top1": paper,
        "replication_top1": replication,
        "delta_paper": top1 - paper,
        "delta_replication": top1 - replication,
    }


def files(sweep: str = "digits") -> pd.DataFrame:
    """Of four cells, in two formats."""
    return pd.DataFrame(
        [
            {
                **{"sweep": sweep, "cell": row["cell"], "precision": precision, "processor": "a processor, 2 cores"},
                **{"bytes": size * row["params_total"], "top1": row["test_top1"] - loss / 100},
                **{"top1_low": row["test_top1_low"], "top1_high": row["test_top1_high"]},
                **{"loss_points": loss, "loss_points_low": loss - 0.6, "loss_points_high": loss + 0.7},
                **{"p50_ms": size * row["mult_adds"] / 3.85e6, "p95_ms": 3.0, "memory_bytes": 2e7},
                "phone_ms": math.nan,
            }
            for precision, size, loss in (("float32", 4.0, 0.0), ("int8", 1.1, 0.4))
            for row in cells(sweep).to_dict("records")
        ]
    )


def trials(count: int = 40, seed: int = 0, cell: str = "mobilenet_0.5_96") -> pd.DataFrame:
    """Of one cell: best near a learning rate of 2e-3, with beta_1 of little and beta_2 of no influence."""
    rng = np.random.default_rng(seed)
    rate, one, two = (10 ** rng.uniform(low, high, count) for low, high in ((-5, -1), (-2, -0.31), (-4, -1)))
    value = 0.95 - 0.06 * (np.log10(rate) + 2.7) ** 2 - 0.02 * (np.log10(one) + 1) ** 2 + rng.normal(0, 0.003, count)
    numbers = np.arange(count)
    state = np.where(numbers % 17 == 16, "FAIL", np.where((numbers % 4 == 3) & (value < 0.9), "PRUNED", "COMPLETE"))
    return pd.DataFrame(
        {
            "sweep": "digits",
            "cell": cell,
            "number": numbers,
            "state": state,
            "val_top1": np.where(state == "FAIL", np.nan, np.clip(value, 0.1, 1)),
            "learning_rate": rate,
            "beta_1": 1 - one,
            "beta_2": 1 - two,
            "best_epoch": np.where(state == "FAIL", np.nan, 17.0),
            "error": np.where(state == "FAIL", "the loss is not finite: <b>nan</b>", ""),
            "is_best": numbers == np.where(state == "COMPLETE", value, -1).argmax() if count else numbers == -1,
        }
    )


def importance() -> pd.DataFrame:
    """Of those trials, as the search leaves it: in no order."""
    shares = {"hyperparameter": ["beta_2", "learning_rate", "beta_1"], "mean": [0.04, 0.85, 0.11]}
    return pd.DataFrame({"sweep": "digits", "cell": "mobilenet_0.5_96", **shares, "deviation": [0.01, 0.05, 0.03]})


def curves(of: pd.DataFrame, epochs: int = 30, seed: int = 0) -> pd.DataFrame:
    """Of the trials in `of` that did not fail, and of the final model; the rate falls before epochs 12 and 21."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    rises = 1 - np.exp(-epoch / (epochs / 6))
    found = []
    for number, top in [*zip(of["number"], of["val_top1"], strict=True), (-1, 0.96)]:
        if math.isnan(top):
            continue
        val = top * rises + rng.normal(0, 0.004, epochs)
        train = np.minimum(1, val + 0.01)
        rate = 0.002 * 0.5 ** ((epoch >= 12).astype(int) + (epoch >= 21))
        metrics_ = {"train_top1": train, "train_loss": 2 * (1.02 - train)}
        if number >= 0:
            metrics_ |= {"val_top1": val, "val_loss": 2 * (1.05 - val), "learning_rate": rate}
        long = pd.DataFrame({"epoch": epoch, **metrics_}).melt("epoch", var_name="metric", value_name="value")
        found.append(long.assign(sweep="digits", cell="mobilenet_0.5_96", number=number))
    return pd.concat(found, ignore_index=True)


def confusion(classes: int, seed: int = 0, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Groups of five classes that are confused with each other, in no order; 50 pictures a class."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(classes) // 5
    labels = [*names, *(f"class {k}" for k in range(len(names), classes))]
    counts = np.zeros((classes, classes), dtype=int)
    for truth in range(classes):
        chances = np.where(group == group[truth], 0.05, 0.1 / classes)
        chances[truth] = 0.9 - 0.3 * rng.random()
        counts[truth] = rng.multinomial(50, chances / chances.sum())
    rows, columns = np.nonzero(counts)
    found = {"truth": [labels[k] for k in rows], "answer": [labels[k] for k in columns], "count": counts[rows, columns]}
    return pd.DataFrame({"sweep": "digits", "cell": "mobilenet_0.5_96", **found})


def per_class(of: pd.DataFrame) -> pd.DataFrame:
    """The frame that belongs to a confusion."""
    pictures = of.groupby("truth")["count"].sum()
    correct = of[of["truth"] == of["answer"]].set_index("truth")["count"].reindex(pictures.index).fillna(0)
    found = {"class_name": pictures.index, "pictures": pictures.to_numpy(), "correct": correct.to_numpy()}
    return pd.DataFrame({"sweep": "digits", "cell": "mobilenet_0.5_96", **found}).assign(
        top1=lambda frame: frame["correct"] / frame["pictures"]
    )
