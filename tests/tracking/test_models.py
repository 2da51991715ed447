from __future__ import annotations

import math
import shutil

import pytest
from samples import check_model, classifier

from pipeline.shell.errors import UserError


def test_a_model_takes_pictures_of_any_size(tracker, folder):
    check_model(tracker)
    requirements = next((folder / "mlartifacts").rglob("requirements.txt")).read_text()
    assert {line.partition("==")[0] for line in requirements.split()} == {"mlflow", "tensorflow", "keras", "numpy"}
    assert not (folder / "mlruns").exists()


def test_a_model_that_cannot_be_kept_is_marked_failed(tracker):
    with pytest.raises(AttributeError), tracker.run("train", "train") as run_id:
        tracker.log_model(run_id, object(), ["a"])
    (logged,) = tracker.client.search_logged_models([tracker.experiment_id])
    assert str(logged.status) == "FAILED"


def test_a_run_without_a_model_is_named(tracker):
    with tracker.run("prepare", "prepare") as run_id:
        pass
    with pytest.raises(UserError, match="which has none"):
        tracker.load_model(run_id)


@pytest.mark.parametrize("gone", ["", "data/model.keras"])
def test_a_model_whose_files_are_gone_is_named_with_its_folder(tracker, folder, gone):
    with tracker.run("train", "train") as run_id:
        uri = tracker.log_model(run_id, classifier(2), ["a", "b"])
    (kept,) = folder.glob(f"mlartifacts/**/{uri.rpartition('/')[2]}/artifacts")
    (kept / gone).unlink() if gone else shutil.rmtree(kept)
    with pytest.raises(UserError, match=rf"model of run {run_id} .* in .*{kept}.*bring that folder back") as refusal:
        tracker.load_model(run_id)
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def model():
    return classifier(2)


@pytest.fixture
def register(tracker, model):
    """Makes another version of one name; the versions are numbered from 1."""

    def one(val_top1: float, pictures: str, **tags: object) -> None:
        with tracker.run("cell", "cell") as run_id:
            tracker.log_model(
                run_id, model, ["a", "b"], "folder:pics", tags, {"reject_below": 0.25}, val_top1, pictures
            )

    return one


def _aliases(tracker) -> dict[str, str]:
    aliases = tracker.client.get_registered_model("folder-pics").aliases
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
        "folder-pics@best stays version 1: version 2, now folder-pics@newest, was validated on other"
    )
