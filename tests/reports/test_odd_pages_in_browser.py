"""Made-up pages in a real browser: a large one, and some whose names are hostile."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.io
import pytest

from pipeline.config import Cell
from pipeline.networks import costs
from pipeline.scoring import compare
from reports import figures, page, tables
from reports.build import build
from tests.browser import TOO_WIDE, column, opened
from tests.reports.figures import frame_samples
from tests.reports.report_samples import CELLS, ODD_NAMES, sample_store, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)>"
LARGE = [Cell(alpha, side) for alpha in (0.25, 0.5, 0.75, 1.0) for side in (128, 160, 192, 224)]
LARGEST_PAGE = 15e6  # bytes


@pytest.fixture(scope="module")
def odd(tmp_path_factory, empty_database):
    """A page in which every name is one that HTML or a script might take for its own, and a cell is not tested."""
    return _sample(
        tmp_path_factory.mktemp("odd"),
        empty_database,
        dataset=HOSTILE,
        cells=CELLS[:2],
        classes=ODD_NAMES,
        running=True,
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory, empty_database):
    """16 cells x 40 trials x 30 epochs, of 120 classes; the trials of one cell are shown as those of all."""
    folder = tmp_path_factory.mktemp("large")
    tracker = sample_store(folder, empty_database)
    kwargs = {"dataset": "stanford_dogs", "weights": "imagenet", "classes": 120, "trials": 40}
    read = tables.read(tracker, [write_sweep(tracker, cells=LARGE[:1], **kwargs)])
    frames = dataclasses.asdict(read)
    for name in set(frames) - {"sweeps", "near_copies", "pairs", "files", "margin"}:
        frames[name] = pd.concat([frames[name].assign(cell=cell.name) for cell in LARGE], ignore_index=True)
    frames["cells"] = frames["cells"].assign(
        alpha=[cell.alpha for cell in LARGE],
        resolution=[cell.resolution for cell in LARGE],
        mult_adds=[float(costs.mobilenet_mult_adds(cell, 120)) for cell in LARGE],
    )
    right = np.random.default_rng(0).random((len(LARGE), 1200)) < 0.8
    every = compare.pairs({cell.name: row for cell, row in zip(LARGE, right, strict=True)})
    frames["pairs"] = every.assign(sweep=frames["sweeps"]["sweep"][0], split="test")
    path = folder / "report.html"
    path.write_text(page.render(tables.Tables(**frames)), encoding="utf-8")
    return path


def _sample(folder: Path, empty_database: Path, **kwargs) -> Path:
    tracker = sample_store(folder, empty_database)
    return build(tracker, [write_sweep(tracker, **kwargs)], folder / "report.html")[0]


def test_what_is_unknown_comes_last_either_way(browser, odd):
    with opened(browser, odd) as found:
        names = found.page.locator("#cells thead button").all_inner_texts()
        index = next(index for index, name in enumerate(names) if name.startswith("test"))
        for _ in range(2):
            found.page.locator("#cells thead button").nth(index).click()
            texts = column(found.page, index)
            assert texts[-1] == "-"
            assert "-" not in texts[:-1]


@pytest.mark.parametrize("name", ["odd", "large"])
def test_nothing_of_an_odd_or_a_large_page_is_wider_than_a_phone(browser, name, request):
    with opened(browser, request.getfixturevalue(name), 390) as found:
        found.draw_all()
        assert found.page.evaluate(TOO_WIDE) <= 0


def test_a_large_page_is_small_enough_and_answers(browser, large):
    assert large.stat().st_size < LARGEST_PAGE
    with opened(browser, large) as found:
        found.page.locator("#tradeoff-mult-adds .point").first.wait_for()
        found.page.locator("#cells thead button").first.click()
        found.page.locator("#cells thead th[aria-sort]").first.wait_for()
        assert len(found.cells()) == 16
        assert found.wrong == []


def test_hostile_names_are_shown_and_do_nothing(browser, odd):
    with opened(browser, odd) as found:
        for cell in found.cells():
            found.page.select_option("#cell", cell)
            for key in found.draw_all():
                found.page.hover(f"#{key}")
        assert found.page.locator("img").count() == 0
        assert found.wrong == []
        assert HOSTILE in found.page.locator("h1").inner_text()
        names = found.page.locator("#failures").text_content() or ""
        assert [name for name in ODD_NAMES if " ".join(name.split()) not in " ".join(names.split())] == []


def test_markup_that_plotly_would_act_on_is_shown_as_text(browser, tmp_path):
    counts = frame_samples.confusion(10, names=frame_samples.HOSTILE)
    charts = [(figures.PER_CLASS, frame_samples.per_class(counts)), (figures.CONFUSION, counts)]
    drawn = [chart.figure(chart.info(frame)) for chart, frame in charts]
    parts = [plotly.io.to_html(one, full_html=False, include_plotlyjs=k == 0) for k, one in enumerate(drawn)]
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><meta charset=utf-8>" + "".join(parts), encoding="utf-8")
    with opened(browser, path) as found:
        found.page.locator(".main-svg .ytick text").nth(19).wait_for()  # the last name of the second figure
        texts = found.page.locator("text").evaluate_all("texts => texts.map(text => text.innerHTML)")
    names = [text for text in texts if "javascript" in text or "x&lt;/b&gt;" in text]
    assert len(names) >= 4  # per class, and on both axes of the matrix
    assert not [text for text in texts if re.search(r"<a[ >]|font-weight: *bold", text)]
    assert any("北京犬" in text for text in texts)
    assert any('a "quoted"' in text for text in texts)
