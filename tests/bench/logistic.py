"""What logistic regression reaches on the same features, near its optimum, as a reference for trained heads.

    python -m tests.bench.logistic [--only TEXT]

At 0.75-224, trained on all training pictures by L-BFGS (scipy) with an L2 penalty towards zero, for several strengths,
of which a reader may take the best, though that is to look at the test. With mirrored pictures, too; and answered by
the logits of both views, which is twice the network's work. Ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from pipeline import datasets
from pipeline.config import SweepConfig
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.shell import cli, progress
from tests.bench import real_pictures

DATA: dict[str, dict[str, object]] = {
    "CIFAR-10, part": {"dataset": "cifar10", "train_limit": 12_000},
    "Stanford Dogs, part": {"dataset": "stanford_dogs"},
}
STRENGTHS = (1e-2, 3e-3, 1e-3, 3e-4)  # weak ones from the optimum of the stronger
MOST_STEPS = 300


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    real_pictures.require()
    print("| data | trained on | L2 | test | by both views |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, progress.no_bars():
        for name, settings in DATA.items():
            if asked.only in name:
                compare(name, SweepConfig(**{**real_pictures.at_075_224(folder), **settings}))


def compare(name: str, config: SweepConfig) -> None:
    """Prints a row for each strength, for plain training and for training with mirrored pictures."""
    dataset, backbone = datasets.load(config), backbones.load(config.cells[0], config.weights)
    train, test = (
        load_table(split, dataset.source, backbone, config.work_dir, views="flip")
        for split in (dataset.train, dataset.test)
    )
    views = {"pictures": [train.features], "and mirrored ones": [train.features, train.mirrored.features]}
    for trained_on, parts in views.items():
        features, labels = np.concatenate(parts), np.tile(dataset.train.labels, len(parts))
        weights = np.zeros((features.shape[1] + 1, dataset.num_classes))
        for strength in STRENGTHS:
            weights = optimum(features, labels, strength, weights)
            plain, mirrored = (logits(one.features, weights) for one in (test, test.mirrored))
            scores = [100 * np.mean(one.argmax(axis=1) == dataset.test.labels) for one in (plain, plain + mirrored)]
            print(f"| {name} | {trained_on} | {strength:g} | {scores[0]:.1f} | {scores[1]:.1f} |", flush=True)


def optimum(features: np.ndarray, labels: np.ndarray, strength: float, start: np.ndarray) -> np.ndarray:
    """Weights (d + 1, C), the last row the bias, with the least mean crossentropy + strength / 2 x their squares."""
    rows = np.arange(len(labels))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        """And its gradient."""
        weights = flat.reshape(start.shape)
        log_probabilities = log_softmax(logits(features, weights), axis=1)
        errors = np.exp(log_probabilities)
        errors[rows, labels] -= 1
        errors /= len(labels)
        kernel = weights[:-1]
        gradient = np.vstack([features.T @ errors.astype(np.float32) + strength * kernel, errors.sum(axis=0)])
        return -log_probabilities[rows, labels].mean() + strength / 2 * (kernel**2).sum(), gradient.ravel()

    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    if found.status == 1:  # of steps
        print(f"(not at its optimum after {MOST_STEPS} steps)")
    return found.x.reshape(start.shape)


def logits(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (features @ weights[:-1].astype(np.float32)).astype(np.float64) + weights[-1]


if __name__ == "__main__":
    cli.run(main)
