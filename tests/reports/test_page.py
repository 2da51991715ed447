"""The page as text: what it says, and that nothing in it can run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import json
import re

import pytest

from pipeline.config import Cell
from reports import page, tables
from reports.figures.frames import outputs
from reports.file_table import FileRows
from tests.reports.report_samples import CELLS, DOGS, ODD_NAMES, sample_store, write_sweep

FILE = {
    **{"int8_bytes": 2.16e6, "int8_top1": 0.858, "int8_top1_low": 0.837, "int8_top1_high": 0.876},
    **{"int8_loss_points": 0.4, "int8_loss_points_low": -0.3, "int8_loss_points_high": 1.2},
    **{"int8_p50_ms_1_thread": 2.4, "int8_p95_ms_1_thread": 2.6, "int8_memory_bytes": 1.9e7},
}


class Parsed(html.parser.HTMLParser):
    """Elements that run, fetch or hold data, and all text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif not self._inside:
            self.text += data


def rendered(tracker, cells=CELLS[:1], **kwargs) -> Parsed:
    sweep = write_sweep(tracker, trials=6, epochs=4, cells=cells, **kwargs)
    return Parsed(page.render(tables.read(tracker, [sweep])))


def data(parsed: Parsed, key: str):
    (found,) = [text for attrs, text in parsed.scripts if attrs.get("id") == key]
    return json.loads(found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, empty_database):
    """Of a sweep of two cells, of which the second is the better one."""
    return rendered(sample_store(tmp_path_factory.mktemp("whole"), empty_database), cells=CELLS[1:3])


def test_the_page_fetches_nothing_and_runs_two_scripts(whole):
    assert [attrs for attrs, _ in whole.scripts if attrs.get("type") != "application/json"] == [{}, {}]
    assert not [found for found in whole.attributes if found[1] in ("src", "srcset", "data", "action")]
    links = [value for tag, name, value in whole.attributes if name == "href"]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not [name for _, name, _ in whole.attributes if name.startswith("on")]


def test_the_policy_names_the_scripts_by_their_hashes(whole):
    (policy,) = [value for tag, name, value in whole.attributes if value.startswith("default-src")]
    running = [text for attrs, text in whole.scripts if attrs.get("type") != "application/json"]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    (allowed,) = re.findall(r"script-src ([^;]*)", policy)
    assert allowed.split() == [*(f"'sha256-{digest}'" for digest in digests), "'unsafe-eval'"]
    assert "default-src 'none'" in policy


def test_every_number_of_the_table_equals_mlflows(tracker):
    sweep = write_sweep(tracker, trials=6, epochs=4, dataset="stanford_dogs", weights="imagenet", cells=DOGS[:2])
    parsed = Parsed(page.render(tables.read(tracker, [sweep])))
    shown = {row["cell"]: row for row in data(parsed, "records")["cells"]}
    runs = {run.params["cell"]: run.metrics for run in tracker.search("tags.`alpharho.kind` = 'cell'")}
    assert set(shown) == set(runs) == {cell.name for cell in DOGS[:2]}
    same = (
        *("params_total", "mult_adds", "test_top1", "test_top1_low", "test_top1_high", "test_top5"),
        *("untrained_top1", "delta_paper", "delta_replication", "seconds", "pictures_per_second"),
        *("trials_complete", "trials_pruned", "trials_failed"),
        *("best_val_balanced_top1", "test_balanced_top1", "reject_below", "test_answered", "test_top1_answered"),
    )
    for cell, metrics in runs.items():
        assert {name: shown[cell][name] for name in same} == {name: metrics[name] for name in same}
        assert shown[cell]["val_top1"] == metrics["best_val_top1"]
        assert shown[cell]["paper_top1"] == pytest.approx(metrics["test_top1"] - metrics["delta_paper"])


def test_every_figure_has_its_data_and_says_in_words_what_it_shows(whole):
    plots = [value for tag, name, value in whole.attributes if name == "id" and tag == "div"]
    assert len(plots) > 20
    assert all(data(whole, f"{plot}-data")["data"] for plot in plots)
    alts = [value for tag, name, value in whole.attributes if tag == "div" and name == "aria-label" and "." in value]
    assert len(alts) == len(plots)


def test_the_best_cell_is_chosen_at_first(whole):
    scores = [row["test_top1"] for row in data(whole, "records")["cells"]]
    values = [value for tag, name, value in whole.attributes if tag == "option" and name in ("value", "selected")]
    assert values[values.index("") - 1] == f"c{scores.index(max(scores))}"


def test_another_backbone_stands_beside_its_published_row_and_saves_nothing(tracker):
    inception = Cell(1.0, 299, "inception_v3")
    parsed = rendered(tracker, dataset="stanford_dogs", weights="imagenet", cells=[inception])
    (row,) = data(parsed, "records")["cells"]
    assert (row["cell"], row["replication_top1"]) == (inception.name, pytest.approx(0.803))
    assert "inception_v3 299 is the one tested cell" in parsed.text
    assert "Shown for MobileNet v1 alone" in parsed.text
    assert not [value for tag, name, value in parsed.attributes if name == "id" and value.endswith("-savings")]


def test_the_savings_are_those_of_the_head_that_was_trained(tracker):
    small, whole = (
        tables.read(tracker, [write_sweep(tracker, trials=2, epochs=2, cells=CELLS[:1], protocol=protocol)])
        for protocol in ("paper", "replication")
    )
    assert [outputs(sweep) for sweep in (small.sweeps.iloc[0], whole.sweeps.iloc[0])] == [10, 1000]
    assert whole.cells.iloc[0]["params_total"] - small.cells.iloc[0]["params_total"] == 990 * 257


def test_names_are_text_whatever_they_hold(tracker):
    parsed = rendered(tracker, dataset="<img src=x onerror=alert(1)>", classes=ODD_NAMES)
    assert not [name for tag, name, _ in parsed.attributes if tag == "img" or name.startswith("on")]
    assert len([attrs for attrs, _ in parsed.scripts if attrs.get("type") != "application/json"]) == 2
    assert "<img src=x onerror=alert(1)>" in parsed.text


def test_embedded_json_cannot_end_its_element():
    text = "</script><script>alert(1)</script><!-- & \u2028"
    assert json.loads(page.embedded({"name": text})) == {"name": text}
    assert not re.search("[<>&]", page.embedded({"name": text}))


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"running": True}, "Not tested yet: 0.25-48."),
        ({"empty": True}, "No trial of this cell has finished yet."),
        ({"bare": True}, "No curves have been recorded for this cell."),
    ],
    ids=["running", "empty", "bare"],
)
def test_what_is_missing_is_said(tracker, kwargs, said):
    assert said in rendered(tracker, **kwargs).text


@pytest.mark.parametrize("classes", [1, 1000])
def test_one_class_and_a_thousand(tracker, classes):
    parsed = rendered(tracker, classes=classes)
    assert f"{classes:,} classes" in parsed.text
    assert any("-classes" in value for tag, name, value in parsed.attributes if name == "id" and tag == "div")


def test_files_of_cells_stand_in_a_table_and_two_figures(tracker):
    sweep = write_sweep(tracker, cells=DOGS, dataset="stanford_dogs", weights="imagenet")
    assert "On a device" not in Parsed(page.render(tables.read(tracker, [sweep]))).text
    cell = tracker.cells_of(sweep)[0]
    tracker.log_metrics(cell.run_id, {**FILE, "int8_exported": 1.0})
    tracker.set_tags(cell.run_id, {"alpharho.processor": "a <processor>, 2 cores"})
    parsed = Parsed(page.render(tables.read(tracker, [sweep])))
    section = " ".join(parsed.text[parsed.text.index("On a device") :].split())
    assert "in one thread of a <processor>, 2 cores, which is no phone." in section
    assert "1.0-224int82.1685.8 [83.7, 87.6]0.4 [-0.3, 1.2]2.42.61913" in section
    assert (
        "a phone, ms: what others published of the same cell (Pixel 3, Android 10, 4 threads; TensorFlow Lite"
        in section
    )
    assert {"files-bytes", "files-p50-ms"} <= {value for _tag, name, value in parsed.attributes if name == "id"}


def test_what_was_measured_on_devices_stands_on_the_page(tracker):
    sweep = write_sweep(tracker)
    measured = FileRows(["device", "ms"], [["a <phone>", "3.1"]])
    text = Parsed(page.render(tables.read(tracker, [sweep]), measured)).text
    assert "Measured on devices" in text
    assert "a <phone>3.1" in text


def test_a_caveat_stands_beside_the_answer(tracker):
    said = "ImageNet's training set contains the Stanford Dogs pictures"
    dogs = rendered(tracker, dataset="stanford_dogs", weights="imagenet", cells=DOGS[:1])
    assert dogs.text.index(said) < dogs.text.index("Accuracy against cost")
