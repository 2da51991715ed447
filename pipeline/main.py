"""prepare -> train -> evaluate for one cell, in one MLflow run.

python -m pipeline.main --dataset digits --weights tiny --alpha 0.5 --resolution 64
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import tracking
from pipeline.config import TrainConfig
from pipeline.evaluate import evaluate, summary
from pipeline.networks import devices
from pipeline.prepare import prepare
from pipeline.shell import cli
from pipeline.train import train


def main(argv: Sequence[str] | None = None) -> None:
    """The three steps by the flags of a fit."""
    config = cli.parse(TrainConfig, argv)
    devices.set_up()
    from pipeline.networks import backbones

    backbones.require_file(config.cells, config.weights)
    tracker = tracking.connect(config.experiment)
    with tracker.run(f"main {config.dataset} {config.cell.name}", kind="main") as run_id:
        dataset = prepare(config, tracker, run_id)
        model, reject_below, start = train(config, dataset, tracker, run_id)
        print(summary(config, evaluate(model, config, dataset, tracker, run_id, reject_below, start)))


if __name__ == "__main__":
    cli.run(main)
