from __future__ import annotations

import math

import pytest
from samples import classifier


@pytest.fixture(scope="module")
def model():
    return classifier(2)


@pytest.fixture
def register(tracker, model):
    """Makes another version of one name, the versions are numbered from 1; returns the id of its run."""

    def one(val_top1: float, pictures: str, **tags: object) -> str:
        with tracker.run("cell", "cell") as run_id:
            tracker.log_model(
                run_id, model, ["a", "b"], "folder:pics", tags, {"reject_below": 0.25}, val_top1, pictures
            )
        return run_id

    return one


def _aliases(tracker, name: str = "folder-pics") -> dict[str, str]:
    aliases = tracker.client.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in aliases.items()}  # a database has them as numbers


def test_a_version_says_what_it_reached_and_on_which_pictures(tracker, register):
    register(0.75, "abc", study="s1")
    version = tracker.client.get_model_version("folder-pics", "1")
    assert version.tags == {"study": "s1", "alpharho.judged_by": "abc", "alpharho.val_score": "0.75"}
    assert _aliases(tracker) == {"newest": "1", "best": "1"}


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [(0.5, 0.75, "2"), (0.5, 0.25, "1"), (0.5, 0.5, "1"), (math.nan, 0.1, "2"), (0.1, math.nan, "1")],
)
def test_the_best_is_the_one_that_is_better_on_the_same_pictures(tracker, register, capsys, first, second, best):
    register(first, "abc")
    register(second, "abc")
    assert _aliases(tracker) == {"newest": "2", "best": best}
    assert capsys.readouterr().err == ""


def test_a_version_validated_on_other_pictures_takes_no_alias_of_the_best(tracker, register, capsys):
    register(0.5, "abc")
    register(0.9, "other")
    assert _aliases(tracker) == {"newest": "2", "best": "1"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "folder-pics@best stays version 1: version 2 was validated on other pictures or by another score"
    )


def _promoted(tracker, *runs: str) -> dict[str, str]:
    """The runs that the aliases of the data set's name stand for, after the two were promoted."""
    tracker.promote("folder:all", *runs)
    aliases = _aliases(tracker, "folder-all").items()
    return {alias: tracker.client.get_model_version("folder-all", version).run_id for alias, version in aliases}


def test_a_data_set_has_a_champion_and_one_that_is_enough(tracker, register):
    best, small = register(0.9, "abc", study="s1"), register(0.85, "abc")
    assert _promoted(tracker, best, small) == {"champion": best, "enough": small}
    assert _promoted(tracker, best, small) == {"champion": best, "enough": small}
    versions = tracker.client.search_model_versions("name = 'folder-all'")
    assert {one.run_id: one.tags for one in versions}[best] == {
        **{"study": "s1", "alpharho.judged_by": "abc", "alpharho.val_score": "0.9"}
    }
    assert len(versions) == 2


def test_the_champion_itself_may_be_enough(tracker, register):
    best = register(0.9, "abc")
    assert _promoted(tracker, best, best) == {"champion": best, "enough": best}


def test_a_worse_sweep_changes_neither_alias(tracker, register):
    best, small, worse = register(0.9, "abc"), register(0.85, "abc"), register(0.8, "abc")
    _promoted(tracker, best, small)
    assert _promoted(tracker, worse, worse) == {"champion": best, "enough": small}


def test_beside_a_better_champion_another_one_is_enough(tracker, register):
    best, small, better, cheap = (register(score, "abc") for score in (0.9, 0.89, 0.95, 0.88))
    _promoted(tracker, best, small)
    assert _promoted(tracker, better, cheap) == {"champion": better, "enough": cheap}


def test_a_run_whose_version_was_removed_is_passed_over(tracker, register):
    best = register(0.9, "abc")
    tracker.client.delete_registered_model("folder-pics")
    tracker.promote("folder:all", best, best)
    assert tracker.client.search_registered_models() == []
