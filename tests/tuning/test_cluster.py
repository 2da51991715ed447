"""Tasks on a real Ray cluster of two nodes, and sweeps there."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial

import numpy as np
import pytest

from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from pipeline.tracking.tracker import Tracker
from tests import clusters
from tests.features_of_noise import CELL, pictures
from tests.small_sweeps import CONFIG, ONE, of_kind, run, stores
from tests.sweep_state import faults, read_trials
from tuning import tasks
from tuning.cluster import MOST_DEATHS, RayExecutor
from tuning.executors import TaskError
from tuning.extraction import spread

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster():
    if reason := clusters.why_no_ray():
        pytest.skip(reason)
    with clusters.two_nodes() as started:
        yield started


@pytest.fixture(scope="module")
def workers(cluster):
    with RayExecutor(clusters.on(cluster)) as executor:
        yield executor


def table_of(split, folder, **how):
    """Of a small backbone with trained weights."""
    return load_table(split, "noise:1", backbones.load(CELL, "tiny"), str(folder), **how)


def results(executor, futures):
    while left := [future for future in futures if not future.done()]:
        executor.wait(left)
    return [future.result() for future in futures]


def test_tasks_run_side_by_side_each_on_its_share(workers):
    assert workers.at_once == 2
    assert results(workers, [workers.submit(clusters.doubled, number) for number in range(5)]) == [0, 2, 4, 6, 8]
    assert results(workers, [workers.submit(clusters.threads)]) == [1]


def test_what_a_task_tells_is_told_in_the_driver_in_order(workers):
    told: list[int] = []
    results(workers, [workers.submit(clusters.counting, 5, tell=told.append)])
    assert told == [0, 1, 2, 3, 4]


def test_what_is_shared_is_sent_to_a_worker_once(workers):
    shared = workers.share(np.zeros(100))
    found = results(workers, [workers.submit(clusters.identity, shared) for _ in range(6)])
    assert len(set(found)) <= 2


def test_an_error_of_a_tasks_own_is_told_and_the_task_not_run_again(workers):
    future = workers.submit(clusters.failing, -1)
    workers.wait([future])
    with pytest.raises(TaskError, match="ArithmeticError: no root of -1"):
        future.result()


def test_a_task_whose_worker_dies_is_run_again_and_tells_nothing_twice(workers, tmp_path):
    told: list[int] = []
    future = workers.submit(clusters.dying_once, str(tmp_path / "died"), tell=told.append)
    assert results(workers, [future]) == ["well"]
    assert told == [1, 2, 3]


def test_a_task_that_kills_every_worker_is_given_up(workers):
    future = workers.submit(clusters.dying)
    workers.wait([future])
    with pytest.raises(TaskError, match=f"{MOST_DEATHS} workers died of it"):
        future.result()
    assert results(workers, [workers.submit(clusters.doubled, 21)]) == [42]


def test_a_worker_that_sees_other_pictures_is_refused_by_its_nodes_name(workers, tmp_path):
    split = pictures(40)
    other = dataclasses.replace(split, hashes=np.roll(split.hashes, 1))
    with pytest.raises(UserError, match=r"node .*wanted to see the picture noise/train#0 as the driver does"):
        table_of(other, tmp_path, run=partial(spread, workers))
    assert not [path for path in tmp_path.glob("features/*/journal.jsonl") if path.stat().st_size]


def test_workers_make_the_table_that_one_process_makes(workers, tmp_path):
    made = table_of(pictures(700), tmp_path / "many", run=partial(spread, workers), views="flip")
    plain = table_of(pictures(700), tmp_path / "one", views="flip")
    for ours, theirs in ((made, plain), (made.mirrored, plain.mirrored)):
        assert ours.key == theirs.key
        np.testing.assert_array_equal(ours.features, theirs.features)


def test_chunks_of_a_worker_that_dies_are_made_again_and_finished_ones_never(workers, tmp_path, monkeypatch):
    """The worker is killed when the first chunk is told: it holds another one then."""
    told: list[int] = []

    def run(*args, tell, **kwargs) -> None:
        def telling(made) -> None:
            if made.count:
                told.append(made.begin)
            if len(told) == 1 and made.count:
                clusters.worker_processes()[0].kill()
            tell(made)

        spread(workers, *args, tell=telling, **kwargs)

    made = table_of(pictures(700), tmp_path / "many", run=run)
    assert told == [0, 192, 384, 576]
    np.testing.assert_array_equal(made.features, table_of(pictures(700), tmp_path / "one").features)


def test_a_sweep_finds_what_one_process_finds_though_workers_are_killed(workers, here, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the workers have it
    config = dataclasses.replace(CONFIG, trials=4)
    submit, fits = workers.submit, []

    def submit_and_kill(fn, *args, **kwargs):
        future = submit(fn, *args, **kwargs)
        if fn is tasks.fit_trials:
            fits.append(fn)
            if len(fits) == 2:
                for process in clusters.worker_processes():
                    process.kill()
        return future

    monkeypatch.setattr(workers, "submit", submit_and_kill)
    _cells, failures = run(config, workers)
    assert (failures, len(fits)) == ([], 4)
    assert faults(*stores(here), cells=2, total=4) == []
    elsewhere = dataclasses.replace(config, storage=f"sqlite:///{here}/inline.db", experiment="inline")
    run(elsewhere)
    assert read_trials(stores(here)[0]) == read_trials(elsewhere.storage)


def test_networks_are_fine_tuned_by_workers_and_shown_while_they_train(workers, here, monkeypatch):
    config = dataclasses.replace(ONE, freeze_conv=False, unfreeze=1)
    shown: list[int] = []
    log_epoch = Tracker.log_epoch

    def log_and_count(tracker, run_id, epoch, *args) -> None:
        shown.append(epoch)
        log_epoch(tracker, run_id, epoch, *args)

    monkeypatch.setattr(Tracker, "log_epoch", log_and_count)
    _cells, failures = run(config, workers)
    assert failures == []
    assert sorted(shown) == [1, 1, 2, 2]
    assert faults(*stores(here), cells=1, total=2) == []


def test_a_task_that_fails_ends_its_trials_with_the_reason(workers, here, monkeypatch):
    monkeypatch.setattr(tasks, "fit_trials", clusters.no_fit)
    found, failures = run(dataclasses.replace(ONE, head_init="random", l2=0), workers)
    assert (found, len(failures)) == ([], 1)
    assert "ArithmeticError: no fit" in failures[0]
    records = of_kind("trial")
    assert {(one.status, one.tags["alpharho.error"]) for one in records} == {("FAILED", "ArithmeticError: no fit")}


def test_without_the_package_ray_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"wanted the package ray.*requirements-ray\.txt"):
        RayExecutor(dataclasses.replace(CONFIG, executor="ray"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379"])
def test_an_address_where_nothing_answers_is_refused(address):
    with pytest.raises(UserError, match=f"wanted a Ray cluster at {address}"):
        RayExecutor(dataclasses.replace(CONFIG, executor="ray", ray_address=address))
