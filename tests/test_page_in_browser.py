"""The report's page in a real browser: that of a real sweep, a large one, and one whose names are hostile."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path

import mlflow
import pytest

from pipeline.config import Cell
from pipeline.tracking import connect
from reports.build import build
from tests.browser import MARKS, PAINTED, opened
from tests.report_samples import CELLS, ODD_NAMES, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENSHOTS = Path(__file__).parents[1] / "screenshots"  # git-ignored; what continuous integration shows
HOSTILE = "<img src=x onerror=alert(1)>"
LARGE = [Cell(alpha, side) for alpha in (0.25, 0.5, 0.75, 1.0) for side in (128, 160, 192, 224)]
LARGEST_PAGE = 15e6  # bytes
PATIENCE = 3  # s, from opening the largest page to the first answered click
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
INK = "getComputedStyle(document.querySelector('#tradeoff .xtick text')).fill"
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"


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


@pytest.fixture
def demo(browser, swept):
    """The page that a real sweep left behind, at 1,440 px, light."""
    with opened(browser, swept / "report.html", color_scheme="light") as found:
        yield found


def test_it_opens_with_no_network_and_no_error(demo, swept):
    for cell in demo.cells():
        demo.page.select_option("#cell", cell)
        demo.draw_all()
    demo.page.click("#theme")
    assert demo.wrong == []
    asked = [url for url in demo.asked if not url.startswith(("data:", "blob:"))]
    assert asked == [(swept / "report.html").as_uri()]


def test_every_figure_of_every_cell_has_marks(demo):
    families = set()
    assert len(demo.cells()) == 4
    for cell in demo.cells():
        demo.page.select_option("#cell", cell)
        shown = demo.draw_all()
        empty = [key for key in shown if not demo.page.locator(f"#{key}").evaluate(_measure(key))]
        assert empty == []
        families |= {key.removeprefix(f"{cell}-") for key in shown}
    searched = {"history", "importances", "parallel", "learning-rate", "beta-1", "beta-2", "contour"}
    costs = {"tradeoff-mult-adds", "tradeoff-params-total"}
    assert families == {*costs, *searched, "top1", "loss", "confusion", "classes", "savings"}


def _measure(key: str) -> str:
    return PAINTED if key.endswith("-parallel") else MARKS


def test_a_figure_that_is_covered_or_empty_is_noticed(demo):
    demo.draw_all()
    plot = demo.page.locator("#tradeoff-mult-adds")
    assert plot.evaluate(MARKS) == 4 + 1  # the cells and the Pareto front
    plot.evaluate("plot => Plotly.restyle(plot, {x: [[]], y: [[]]})")
    assert plot.evaluate(MARKS) == 0
    assert plot.evaluate(PAINTED) == 0


def test_a_point_under_the_pointer_says_which_cell_it_is(demo):
    demo.page.locator("#tradeoff-mult-adds .point").first.wait_for()
    said = []
    for point in demo.page.locator("#tradeoff-mult-adds .point").all():
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        demo.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        demo.page.wait_for_timeout(300)  # Plotly answers the pointer twenty times a second
        said.append(demo.page.locator("#tradeoff-mult-adds .hovertext").first.text_content())
    labels = ("0.25-32", "0.25-48", "0.5-32", "0.5-48")
    assert sorted(label for text in said for label in labels if f"{label} · digits" in text) == sorted(labels)


def test_a_click_on_a_header_sorts_down_and_another_up(demo):
    names = [text.strip() for text in demo.page.locator("#cells thead button").all_inner_texts()]
    assert {"cell", "params, M", "mult-adds, M", "val, %", "seconds"} <= set(names)
    for place, name in enumerate(names):
        button = demo.page.locator("#cells thead button").nth(place)
        for order, is_down in (("descending", True), ("ascending", False)):
            button.click()
            assert demo.page.locator("#cells thead th").nth(place).get_attribute("aria-sort") == order
            values = _column(demo.page, place, "data-value")
            assert values == sorted(values, key=float, reverse=is_down), name


def _column(page, place: int, attribute: str = "") -> list[str]:
    cells = page.locator(f"#cells tbody tr > :nth-child({place + 1})")
    read = f"cell => cell.getAttribute('{attribute}')" if attribute else "cell => cell.textContent"
    return cells.evaluate_all(f"cells => cells.map({read})")


def test_what_is_unknown_comes_last_either_way(browser, odd):
    with opened(browser, odd) as found:
        names = found.page.locator("#cells thead button").all_inner_texts()
        place = next(place for place, name in enumerate(names) if name.startswith("test"))
        for _ in range(2):
            found.page.locator("#cells thead button").nth(place).click()
            texts = _column(found.page, place)
            assert texts[-1] == "-"
            assert "-" not in texts[:-1]


def test_the_csv_holds_mlflows_numbers(demo, swept):
    with demo.page.expect_download() as download:
        demo.page.click("#csv")
    assert download.value.suggested_filename == "cells.csv"
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    client = mlflow.MlflowClient(f"sqlite:///{swept}/mlflow.db")
    experiment = client.get_experiment_by_name("alpharho").experiment_id
    runs = client.search_runs([experiment], "tags.`alpharho.kind` = 'cell'")
    assert len(rows) == len(runs) == 4
    same = (
        *("params_total", "mult_adds", "test_top1", "test_top1_low", "test_top1_high", "test_top5", "seconds"),
        *("pictures_per_second", "trials_complete", "trials_pruned"),
    )
    for run in runs:
        row = rows[run.data.params["cell"]]
        assert {name: float(row[name]) for name in same} == {name: run.data.metrics[name] for name in same}
        assert float(row["val_top1"]) == run.data.metrics["best_val_top1"]
        assert row["paper_top1"] == ""


def test_light_and_dark_by_preference_and_by_the_button(browser, swept):
    looks = {}
    for scheme in ("light", "dark"):
        with opened(browser, swept / "report.html", color_scheme=scheme) as found:
            found.draw_all()
            before = [found.page.evaluate(BACKGROUND), found.page.evaluate(INK)]
            found.page.click("#theme")
            after = [found.page.evaluate(BACKGROUND), found.page.evaluate(INK)]
            looks[scheme] = (before, after)
            assert found.wrong == []
    assert looks["light"] == looks["dark"][::-1]
    assert all(one != other for one, other in zip(*looks["light"], strict=True))


def test_a_figure_drawn_before_the_button_was_pressed_changes_when_it_is_seen_again(demo):
    demo.draw_all()
    first, second = demo.page.locator("#cell").input_value(), demo.cells()[0]
    assert first != second
    ink = f"getComputedStyle(document.querySelector('#{first}-top1 .xtick text')).fill"
    light = demo.page.evaluate(ink)
    demo.page.select_option("#cell", second)
    demo.page.click("#theme")
    demo.page.select_option("#cell", first)
    assert demo.page.evaluate(ink) != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window(browser, swept, width, scheme):
    SCREENSHOTS.mkdir(exist_ok=True)
    with opened(browser, swept / "report.html", width, color_scheme=scheme) as found:
        found.draw_all()
        found.page.screenshot(path=SCREENSHOTS / f"report_{width}_{scheme}.png", full_page=True)
        for cell in found.cells():
            found.page.select_option("#cell", cell)
            found.draw_all()
            assert found.page.evaluate(TOO_WIDE) <= 0


@pytest.mark.parametrize("name", ["odd", "large"])
def test_nothing_of_an_odd_or_a_large_page_is_wider_than_a_phone(browser, name, request):
    with opened(browser, request.getfixturevalue(name), 390) as found:
        found.draw_all()
        assert found.page.evaluate(TOO_WIDE) <= 0


def test_print_is_light_and_complete_and_has_no_buttons(browser, swept):
    with opened(browser, swept / "report.html", color_scheme="dark") as found:
        assert found.page.locator("nav").is_visible()
        dark = found.page.evaluate(INK)
        assert found.page.pdf().startswith(b"%PDF-")
        shown = found.page.locator(".plot:visible")
        assert shown.count() == found.page.locator(".plot:visible[data-drawn]:has(.main-svg)").count() > 10
        assert found.page.evaluate(INK) == dark  # as before
        found.page.emulate_media(media="print")
        assert not found.page.locator("nav").is_visible()
        assert not found.page.locator("#csv").is_visible()
        assert found.page.locator("#cells").is_visible()


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
