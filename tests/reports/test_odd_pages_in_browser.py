"""Made-up reports in a real browser: a large one, and one whose names are hostile."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from pipeline.config import Cell
from pipeline.tracking import connect
from reports.build import build
from tests.browser import TOO_WIDE, column, opened
from tests.reports.report_samples import CELLS, ODD_NAMES, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = "<img src=x onerror=alert(1)>"
LARGE = [Cell(alpha, side) for alpha in (0.25, 0.5, 0.75, 1.0) for side in (128, 160, 192, 224)]
LARGEST_PAGE = 15e6  # bytes
PATIENCE = 3  # s, from opening the largest page to the first answered click


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
    """16 cells x 40 trials x 30 epochs, of 120 classes."""
    kwargs = {"dataset": "stanford_dogs", "weights": "imagenet", "classes": 120}
    return _sample(tmp_path_factory.mktemp("large"), empty_database, cells=LARGE, trials=40, **kwargs)


def _sample(folder: Path, empty_database: Path, **kwargs) -> Path:
    shutil.copy(empty_database, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "")
        tracker = connect("alpharho")
        return build(tracker, [write_sweep(tracker, **kwargs)], folder / "report.html")


def test_what_is_unknown_comes_last_either_way(browser, odd):
    with opened(browser, odd) as found:
        names = found.page.locator("#cells thead button").all_inner_texts()
        place = next(place for place, name in enumerate(names) if name.startswith("test"))
        for _ in range(2):
            found.page.locator("#cells thead button").nth(place).click()
            texts = column(found.page, place)
            assert texts[-1] == "-"
            assert "-" not in texts[:-1]


@pytest.mark.parametrize("name", ["odd", "large"])
def test_nothing_of_an_odd_or_a_large_page_is_wider_than_a_phone(browser, name, request):
    with opened(browser, request.getfixturevalue(name), 390) as found:
        found.draw_all()
        assert found.page.evaluate(TOO_WIDE) <= 0


def test_a_large_page_is_small_enough_and_answers_soon(browser, large):
    assert large.stat().st_size < LARGEST_PAGE
    begun = time.perf_counter()
    with opened(browser, large) as found:
        found.page.locator("#tradeoff-mult-adds .point").first.wait_for()
        found.page.locator("#cells thead button").first.click()
        found.page.locator("#cells thead th[aria-sort]").first.wait_for()
        assert time.perf_counter() - begun < PATIENCE
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
