"""README.md and docs/ say what results.csv and pipeline/config say; what becomes of a damaged table or document."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from pipeline.config import ResultsConfig, SweepConfig, as_params
from pipeline.shell import cli
from pipeline.shell.errors import UserError
from reports import flags, measured, numbers, results
from reports.numbers import Number
from tests.reports.report_samples import CELLS, DEVICE, DOGS, write_sweep

HEAD = "| cell | **test** | s | | paper |\n|---|---|---|---|---|\n"
MARKED = f"<!-- results: sizes -->\n{HEAD}<!-- end -->\n"


def number(**known: str) -> Number:
    about = {"table": "sizes", "row": "small", "column": "test", "value": "97.0", "command": "make demo"}
    return Number(**{**dict.fromkeys((field.name for field in dataclasses.fields(Number)), ""), **about, **known})


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the documents and of results.csv."""
    shutil.copytree(results.ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "reports/results.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(results.ROOT / name, tmp_path / name)
    return tmp_path


def test_every_document_says_what_the_rows_say():
    found = results.write_all(numbers.load())
    assert {path.name: new.differ for path, new in found.items() if new.differ} == {}, "Try: python -m reports.results"


def test_every_row_has_a_command_and_a_number_of_its_own():
    known = numbers.load()
    assert [one for one in known if not one.command] == []
    assert len(set(known)) == len(known)


def test_the_file_is_written_as_it_was_read(tmp_path):
    numbers.save(numbers.load(), tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_bytes() == numbers.RESULTS.read_bytes()


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({"value": "76.0"}, "76.0"),
        ({"value": "76.0", "low": "74.1", "high": "80.0"}, "76.0 [74.1, 80.0]"),
        ({"value": "532456", "text": "{value:,}"}, "532,456"),
        ({"value": "2.60", "unit": "M", "text": "{value} {unit}"}, "2.60 M"),
        ({"value": "2.1", "low": "-0.2", "high": "3.1", "text": "{value:+} [{low}, {high}]"}, "+2.1 [-0.2, 3.1]"),
    ],
)
def test_a_number_is_shown_with_its_digits(known: dict[str, str], shown: str) -> None:
    assert number(**known).shown() == shown


def test_rows_stand_under_the_columns_of_the_head():
    dogs = {"row": "large", "cell": "mobilenet_0.75_192", "dataset": "stanford_dogs"}
    known = [
        number(low="95.0", high="98.5"),
        number(column="s", value="3"),
        number(column="s", value="40", unit="%", text=" | {value} {unit}"),
        number(**dogs, column="s", value="5", text="{value} |"),
    ]
    assert results.body(known, HEAD.splitlines()[0]) == [
        "| small | **97.0** [95.0, 98.5] | 3 | 40 % | - |",
        "| large | - | 5 | | 80.5 |",
    ]


def test_a_changed_number_is_noticed_and_named(clone, capsys):
    readme = clone / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"\*\*\d+\.\d\*\* \[", "**99.9** [", text, count=1), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        results.main(["--check"], clone)
    assert left.value.code == 1
    assert "scores in README.md" in capsys.readouterr().err
    assert "**99.9**" in readme.read_text(encoding="utf-8")
    results.main([], clone)
    assert capsys.readouterr().out == "written anew: scores in README.md\n"
    assert readme.read_text(encoding="utf-8") == text
    results.main(["--check"], clone)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (MARKED.replace("sizes", "misspelt"), r"wanted a table of results.csv in a.md"),
        (MARKED.replace("<!-- end -->", ""), r"wanted <!-- end --> behind the table sizes of a.md"),
        (MARKED.replace("<!-- end -->", "") + MARKED, r"wanted <!-- end --> behind the table sizes of a.md"),
        (MARKED.replace(HEAD, ""), r"wanted the head of a table behind <!-- results: sizes --> in a.md"),
        (MARKED.replace("**test**", "val"), r"wanted a column 'test' in the head of sizes"),
        (MARKED.replace("results: sizes", "flags: TestConfig"), r"wanted the name of a class in pipeline/config"),
    ],
)
def test_a_damaged_document_is_one_line(text: str, wanted: str) -> None:
    with pytest.raises(UserError, match=wanted + r".* Received: .* Try: .*") as refusal:
        results.written(text, "a.md", [number()])
    assert "\n" not in str(refusal.value)


def test_a_table_that_stands_in_no_document_is_named(clone):
    with pytest.raises(UserError, match=r"wanted <!-- results: sizes --> in README.md .*Received: .*Try: "):
        results.write_all([*numbers.load(), number()], clone)


def test_rows_of_one_table_have_as_many_first_cells():
    with pytest.raises(UserError, match=r"as many first cells in each row of sizes\. Received: .*Try: "):
        results.body([number(), number(row="large | noise")], HEAD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (",test top-1,", ",test top-1,good"),
        ("{value} + features", "{value + features"),
        ("{value} + features", "{much} + features"),
        ("python -m tests.bench.scale", ""),
        ("value,low", "value,below"),
        (",2 cores,2026-11-23\n", "\n"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, old: str, new: str) -> None:
    text = numbers.RESULTS.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "results.csv").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=r"wanted numbers, .*results\.csv\. Received: .+ Try: "):
        numbers.load(tmp_path / "results.csv")


def test_a_cells_run_becomes_rows(tracker):
    sweep = write_sweep(tracker, trials=4, epochs=3, cells=DOGS[:1], dataset="stanford_dogs", weights="imagenet")
    tracker.set_tags(sweep, {"mlflow.source.git.commit": "0123456789abcdef"})
    (cell,) = tracker.children(sweep)
    found = measured.of_cell(tracker, cell.run_id[:8], "scores", "Dogs", {"test top-1", "top-5", "seconds", "paper"})
    assert [one.column for one in found] == ["test top-1", "top-5", "seconds"]
    score, _top5, seconds = found
    shown = [f"{100 * cell.metrics[name]:.1f}" for name in ("test_top1", "test_top1_low", "test_top1_high")]
    assert [score.value, score.low, score.high] == shown
    assert (seconds.value, seconds.low, seconds.unit) == ("6", "", "s")
    assert (score.cell, score.dataset, score.seed) == ("mobilenet_0.75_192", "stanford_dogs", "0")
    assert (score.commit, score.machine, score.digest) == ("0123456", DEVICE["device"], "4ee7cc36d0f9")
    asked = "--epochs 3 --alphas 0.75 --resolutions 192 --trials 4"
    assert score.command == f"python tuning/optimize.py {asked}"


def test_a_command_brings_the_same_sweep_again(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:2])
    found = measured.of_cell(tracker, tracker.children(sweep)[0].run_id, "scores", "Digits", {"seconds"})
    words = found[0].command.split()
    assert words[:2] == ["python", "tuning/optimize.py"]
    again = as_params(cli.parse(SweepConfig, words[2:]))
    assert {name: again[name] for name in tracker.params(sweep)} == tracker.params(sweep)


def test_a_command_says_that_the_search_ended_by_itself(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    tracker.set_tags(sweep, {"alpharho.trials": "auto"})
    (score,) = measured.of_cell(tracker, tracker.children(sweep)[0].run_id, "scores", "Digits", {"seconds"})
    assert " --trials auto" in score.command


def test_a_run_that_is_no_tested_cell_is_refused(tracker):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    with pytest.raises(UserError, match=r"wanted the run id of one tested cell\. Received: .*Try: "):
        measured.of_cell(tracker, sweep, "scores", "Digits", {"seconds"})


def test_added_rows_stand_in_the_table(clone, tracker, capsys):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    (cell,) = tracker.children(sweep)
    asked = ["--add", cell.run_id, "--table", "scores", "--row", "Digits | 0.25-48 | discriminant"]
    for _ in range(2):  # the second one takes the place of the first
        results.main(asked, clone)
    assert capsys.readouterr().out == "written anew: scores in README.md\nwritten anew: nothing\n"
    value = f"{100 * cell.metrics['test_top1']:.1f}"
    (line,) = [line for line in (clone / "README.md").read_text().splitlines() if line.startswith("| Digits |")]
    assert line.startswith(f"| Digits | 0.25-48 | discriminant | - | **{value}** [")
    assert line.endswith(" | - | - | 6 |")
    results.main(["--check"], clone)


def test_an_unknown_table_adds_nothing(clone, tracker):
    with pytest.raises(UserError, match=r"wanted a table of results.csv in --table\. Received: 'misspelt'"):
        results.main(["--add", "0123abc", "--table", "misspelt", "--row", "Digits"], clone)
    assert (clone / "reports" / "results.csv").read_bytes() == numbers.RESULTS.read_bytes()


def test_a_row_that_is_measured_anew_keeps_its_place():
    known = [number(row=row) for row in ("small", "middle", "large")]
    new = [number(row="middle", value="98.0"), number(row="middle", column="s", value="4")]
    assert numbers.merged(known, new) == [known[0], *new, known[2]]
    assert numbers.merged(known[:1], new) == [known[0], *new]


@pytest.mark.parametrize(
    "asked", [{"add": "0123abc"}, {"row": "a"}, {"add": "0123abc", "table": "scores", "row": "a", "check": True}]
)
def test_flags_that_do_not_go_together_are_refused(asked: dict) -> None:
    with pytest.raises(UserError, match=r"wanted --.*Received: .*Try: "):
        ResultsConfig(**asked)


def test_what_a_flag_takes_and_says():
    lines = {line.split("`")[1]: line for line in flags.body("SweepConfig")}
    assert lines["--alphas"] == "| `--alphas` | number, ... | `1.0,0.75` | width multipliers |"
    assert lines["--wave"].startswith("| `--wave` | whole number, `auto` | `auto` | trials of a round")
    assert "--seed" not in lines  # DataConfig's own
    (row,) = [line for line in flags.body("ResultsConfig") if "`--row`" in line]
    assert r"Dogs \| 1.0-224" in row
