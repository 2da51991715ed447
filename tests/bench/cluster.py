"""What Ray costs and brings, on a cluster of two nodes on this machine: the same table, and time.

    python -m tests.bench.cluster [tables|finetuning ...]

`tables`: features of the training pictures of Stanford Dogs (REAL_DATA_DIR; else of drawn letters) by this process, by
one worker that has all cores, by two nodes of one core, and by two of which one is lost after the first chunk. The
hashes must be the same; one worker may take 15 % longer than this process. `finetuning`: four fine-tunings of one
thread each, by two workers, must be 1.6 times as fast as by one.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import datasets
from pipeline.config import Cell, DataConfig, SweepConfig
from pipeline.datasets import Split
from pipeline.features.partial import hash_of
from pipeline.features.table import here, load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell import cli
from pipeline.training.trainers import trainer_for
from tests import clusters
from tests.bench import real_pictures
from tests.bench.limits import kept
from tuning import sampling, search_space, tasks
from tuning.cluster import RayExecutor
from tuning.executors import TaskExecutor
from tuning.extraction import spread

ROUNDS = 6  # in turn; the fastest of each are compared
OVERHEAD = 1.15
SPEEDUP = 1.6
RAY = SweepConfig(executor="ray", workers=1)
FOUR = SweepConfig(
    dataset="digits",
    weights="tiny",
    alphas=(0.25,),
    resolutions=(64,),
    train_limit=200,
    freeze_conv=False,
    unfreeze=3,
    epochs=3,
    wave=4,
)


def main() -> None:
    parts: dict[str, Callable[[], bool]] = {"tables": tables, "finetuning": finetuning}
    asked = sys.argv[1:] or list(parts)
    sys.exit(0 if min([parts[name]() for name in asked]) else 1)


def real() -> tuple[Split, Backbone]:
    """Pictures, and a backbone for them."""
    if not real_pictures.FOLDER.exists():
        return datasets.load(DataConfig(dataset="letters", train_limit=4000)).train, backbones.load(
            Cell(0.5, 96), "tiny"
        )
    train = datasets.load(DataConfig(data_dir=real_pictures.DATA_DIR)).train
    return train, backbones.load(Cell(0.75, 224), real_pictures.WEIGHTS)


def tables() -> bool:
    """Whether the hashes are the same, and the overhead is small."""
    split, backbone = real()
    print(f"{len(split)} pictures, {backbone.cell.name}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:  # LiteRT's model stays in it, tables do not
        made(split, backbone, folder, here)  # converts
        inline, one = [], []
        with RayExecutor(RAY) as executor:
            made(split.between(0, 64), backbone, folder, partial(spread, executor))  # the worker is up
            for _ in range(ROUNDS):
                inline.append(made(split, backbone, folder, here))
                one.append(made(split, backbone, folder, partial(spread, executor)))
        with clusters.two_nodes() as cluster, RayExecutor(clusters.on(cluster)) as executor:
            made(split.between(0, 64), backbone, folder, partial(spread, executor))
            two = made(split, backbone, folder, partial(spread, executor))
            lost = made(split, backbone, folder, partial(losing_a_node, cluster, executor))
    for how, times in (("this process", inline), ("one worker", one)):
        print(f"{how}: {', '.join(f'{seconds:.1f}' for seconds, _digest in times)} s")
    shown = {"this process": min(inline), "one worker": min(one), "two nodes": two, "one of two lost on the way": lost}
    for how, (seconds, digest) in shown.items():
        print(f"{how}: {seconds:.1f} s, {len(split) / seconds:.0f} pictures/s, sha256 {digest[:16]}", flush=True)
    same = len({digest for _seconds, digest in shown.values()}) == 1
    print(f"the same table: {same}")
    return kept("one worker / this process", min(one)[0] / min(inline)[0], OVERHEAD) and same


def made(split: Split, backbone: Backbone, folder: str, run: Callable[..., Any]) -> tuple[float, str]:
    """Seconds for the table, and its hash; it is removed again."""
    begun = time.perf_counter()
    table = load_table(split, "bench:1", backbone, folder, run=run)
    seconds = time.perf_counter() - begun
    place = Path(folder, "features", table.key)
    digest = hash_of(place / "features.npy")
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    return seconds, digest


def losing_a_node(cluster: Any, executor: TaskExecutor, *args: Any, tell: Callable[[Any], None], **kwargs: Any) -> None:
    """`spread`, in a cluster that loses a node when the first chunk is done."""
    left = [min(cluster.worker_nodes, key=id)]

    def telling(of: Any) -> None:
        """The first time that there is something."""
        if of.count and left:
            cluster.remove_node(left.pop(), allow_graceful=False)
        tell(of)

    spread(executor, *args, tell=telling, **kwargs)


def finetuning() -> bool:
    """Whether two workers are as much faster as they should be."""
    dataset = datasets.load(FOUR)
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(FOUR, work_dir=folder)
        trainer = trainer_for(config.train_config(config.cells[0]), dataset)
        seconds = {}
        for count in (1, 2):
            asked = dataclasses.replace(config, executor="ray", workers=count, cpus_per_worker=1)
            with RayExecutor(asked) as executor:
                shared = executor.share(trainer)
                four_fits(executor, shared, config, count)  # traces tensorflow's graphs in each worker
                begun = time.perf_counter()
                four_fits(executor, shared, config, 4)
                seconds[count] = min(seconds.get(count, float("inf")), time.perf_counter() - begun)
    print(f"four fine-tunings: {seconds[1]:.1f} s by one worker, {seconds[2]:.1f} s by two", flush=True)
    return kept("time by two workers / by one", seconds[2] / seconds[1], 1 / SPEEDUP)


def four_fits(executor: TaskExecutor, trainer: Any, config: SweepConfig, count: int) -> None:
    """The first `count` of a round of four."""
    space, pruner = search_space.distributions(True), sampling.pruner_of("none", config.epochs)
    base = config.train_config(config.cells[0])
    drawn = sampling.draw(sampling.round_study("bench", [], space, 0, pruner), space, [None] * 4)[:count]
    futures = [
        executor.submit(
            tasks.fit_trials, trainer, [search_space.train_config(base, one.params)], [one], tell=lambda epoch: None
        )
        for one in drawn
    ]
    while left := [future for future in futures if not future.done()]:
        executor.wait(left)
    for future in futures:
        future.result()


if __name__ == "__main__":
    cli.run(main)
