from __future__ import annotations

import contextlib

import pytest

from pipeline.shell.errors import UserError
from pipeline.tracking.lookup import PAGE


def test_search_does_not_stop_at_a_page(tracker, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.lookup.PAGE", 3)
    for i in range(7):
        tracker.client.create_run(tracker.experiment_id, run_name=str(i))
    assert PAGE == 1000
    assert {run.name for run in tracker.search()} == {str(i) for i in range(7)}
    assert [run.name for run in tracker.search("attributes.run_name = '4'")] == ["4"]


@pytest.mark.parametrize("run_id", ["0" * 32, "", "no id / at all"])
def test_an_unknown_run_is_named(tracker, run_id):
    for read in (tracker.params, tracker.metrics, tracker.tags, tracker.load_model):
        with pytest.raises(UserError, match="mlflow ui"):
            read(run_id)


@pytest.fixture
def interrupted(tracker):
    """The id of a cell that Ctrl-C stopped, below a sweep."""
    tags = {"dataset": "digits", "pass": 1}
    with (
        contextlib.suppress(KeyboardInterrupt),
        tracker.run("old sweep", "sweep") as sweep,
        tracker.run("cell", "cell", sweep, tags) as cell,
    ):
        tracker.log_params(cell, {"alpha": 0.5})
        tracker.log_metrics(cell, {"val_top1": 0.25})
        raise KeyboardInterrupt
    assert tracker.tags(cell)["alpharho.error"] == "KeyboardInterrupt"
    return cell


def test_a_resumed_run_goes_on_below_its_new_parent(tracker, interrupted):
    count = len(tracker.search())
    with tracker.run("new sweep", "sweep") as sweep:
        with tracker.run("cell", "cell", sweep, tags={"pass": 2}, resume=interrupted) as cell:
            assert cell == interrupted
            (inside,) = tracker.search("attributes.run_name = 'cell'")
            assert (inside.status, inside.parent) == ("RUNNING", sweep)
            assert "alpharho.error" not in inside.tags
            tracker.log_metrics(cell, {"test_top1": 0.75})
        assert len(tracker.search()) == count + 1
    (after,) = tracker.search("attributes.run_name = 'cell'")
    assert (after.run_id, after.status, after.parent) == (interrupted, "FINISHED", sweep)
    assert "alpharho.error" not in after.tags
    assert after.tags.items() >= {"alpharho.kind": "cell", "dataset": "digits", "pass": "2"}.items()
    assert after.params == {"alpha": "0.5"}
    assert after.metrics == {"val_top1": 0.25, "test_top1": 0.75}


def test_a_finished_run_without_a_parent_is_resumed(tracker):
    with tracker.run("train", "train") as first:
        tracker.log_metrics(first, {"val_top1": 0.25})
    with tracker.run("train", "train", resume=first) as second:
        assert [run.status for run in tracker.search()] == ["RUNNING"]
    (after,) = tracker.search()
    assert (after.run_id, second, after.parent) == (first, first, "")
    assert (after.status, after.metrics) == ("FINISHED", {"val_top1": 0.25})


def test_a_resumed_run_that_fails_again_says_so(tracker, interrupted):
    def fail():
        with tracker.run("cell", "cell", resume=interrupted) as cell:
            assert "alpharho.error" not in tracker.tags(cell)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert tracker.tags(interrupted)["alpharho.error"] == "ValueError: no"
    assert {run.name: run.status for run in tracker.search()}["cell"] == "FAILED"


@pytest.mark.parametrize("run_id", ["0" * 32, "", "no id / at all"])
def test_an_unknown_run_to_resume_makes_a_new_one(tracker, run_id):
    assert not tracker.has(run_id)
    with tracker.run("train", "train", resume=run_id) as new:
        pass
    assert new != run_id
    assert [(run.run_id, run.name, run.status) for run in tracker.search()] == [(new, "train", "FINISHED")]


def test_a_deleted_run_to_resume_makes_a_new_one(tracker, interrupted):
    assert tracker.has(interrupted)
    before = tracker.tags(interrupted)
    tracker.client.delete_run(interrupted)
    assert not tracker.has(interrupted)
    with tracker.run("new sweep", "sweep") as sweep, tracker.run("cell", "cell", sweep, resume=interrupted) as new:
        pass
    assert new != interrupted
    assert new in {run.run_id for run in tracker.search()}
    assert tracker.tags(interrupted) == before
    assert tracker.client.get_run(interrupted).info.lifecycle_stage == "deleted"


def test_a_run_of_another_experiment_to_resume_makes_a_new_one(tracker):
    elsewhere = tracker.client.create_experiment("elsewhere")
    theirs = tracker.client.create_run(elsewhere).info.run_id
    assert not tracker.has(theirs)
    with tracker.run("train", "train", resume=theirs) as ours:
        pass
    assert ours != theirs
    assert [run.run_id for run in tracker.search()] == [ours]
    assert "alpharho.kind" not in tracker.tags(theirs)
