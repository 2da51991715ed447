"""The page of a real sweep in a real browser."""

from __future__ import annotations

import csv
from pathlib import Path

import mlflow
import pytest

from tests.browser import MARKS, PAINTED, TOO_WIDE, column, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"  # git-ignored; what continuous integration shows
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
INK = "getComputedStyle(document.querySelector('#tradeoff .xtick text')).fill"


@pytest.fixture
def report(browser, demo):
    """The page that a real sweep left behind, at 1,440 px, light."""
    with opened(browser, demo / "report.html", color_scheme="light") as found:
        yield found


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_figure_of_every_cell_is_drawn_with_no_network_and_no_error(browser, demo, width, scheme):
    page, families = demo / "report.html", set()
    with opened(browser, page, width, color_scheme=scheme) as found:
        for cell in found.cells():
            found.page.select_option("#cell", cell)
            shown = found.draw_all()
            assert [key for key in shown if not found.page.locator(f"#{key}").evaluate(_measure(key))] == []
            assert found.page.evaluate(TOO_WIDE) <= 0
            families |= {key.removeprefix(f"{cell}-") for key in shown}
        assert len(found.cells()) == 4
        assert found.wrong == []
        assert [url for url in found.asked if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
    searched = {"history", "importances", "parallel", "learning-rate", "beta-1", "beta-2", "contour"}
    every = {"tradeoff-mult-adds", "tradeoff-params-total", "differences-0", "files-bytes", "files-p50-ms"}
    assert families == {*every, *searched, "top1", "loss", "coverage", "confusion", "classes", "savings"}


def _measure(key: str) -> str:
    return PAINTED if key.endswith("-parallel") else MARKS


def test_a_figure_without_marks_is_noticed(report):
    plot = report.page.locator("#tradeoff-mult-adds")
    plot.locator(".point").first.wait_for()
    assert plot.evaluate(MARKS) == 4 + 1  # the cells and the Pareto front
    plot.evaluate("plot => Plotly.restyle(plot, {x: [[]], y: [[]]})")
    assert plot.evaluate(MARKS) == 0
    assert plot.evaluate(PAINTED) == 0


def test_a_point_under_the_pointer_says_which_cell_it_is(report):
    plot, said = report.page.locator("#tradeoff-mult-adds"), []
    plot.evaluate("plot => plot.scrollIntoView()")
    plot.locator(".point").first.wait_for()
    for point in plot.locator(".point").all():
        box = point.bounding_box()
        report.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        report.page.wait_for_timeout(300)  # Plotly answers the pointer twenty times a second
        said.append(plot.locator(".hovertext").first.text_content())
    labels = ("0.25-48", "0.25-96", "0.5-48", "0.5-96")
    assert sorted(label for text in said for label in labels if f"{label} · digits" in text) == sorted(labels)


def test_a_click_on_a_header_sorts_down_and_another_up(report):
    names = [text.strip() for text in report.page.locator("#cells thead button").all_inner_texts()]
    assert {"cell", "params, M", "mult-adds, M", "val, %", "seconds"} <= set(names)
    for index, name in enumerate(names):
        button = report.page.locator("#cells thead button").nth(index)
        for order, is_down in (("descending", True), ("ascending", False)):
            button.click()
            assert report.page.locator("#cells thead th").nth(index).get_attribute("aria-sort") == order
            values = column(report.page, index, "data-value")
            assert values == sorted(values, key=float, reverse=is_down), name


def test_the_csv_holds_mlflows_numbers(report, demo):
    with report.page.expect_download() as download:
        report.page.click("#csv")
    assert download.value.suggested_filename == "cells.csv"
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    client = mlflow.MlflowClient(f"sqlite:///{demo}/mlflow.db")
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


def test_light_and_dark_by_preference_and_by_the_button(browser, demo):
    looks = {}
    for scheme in ("light", "dark"):
        with opened(browser, demo / "report.html", color_scheme=scheme) as found:
            found.page.locator("#tradeoff .xtick text").first.wait_for()
            before = [found.page.evaluate(BACKGROUND), found.page.evaluate(INK)]
            found.page.click("#theme")
            after = [found.page.evaluate(BACKGROUND), found.page.evaluate(INK)]
            looks[scheme] = (before, after)
    assert looks["light"] == looks["dark"][::-1]
    assert all(one != other for one, other in zip(*looks["light"], strict=True))


def test_a_figure_drawn_before_the_button_was_pressed_changes_when_it_is_seen_again(report):
    report.draw_all()
    first, second = report.page.locator("#cell").input_value(), report.cells()[0]
    assert first != second
    ink = f"getComputedStyle(document.querySelector('#{first}-top1 .xtick text')).fill"
    light = report.page.evaluate(ink)
    report.page.select_option("#cell", second)
    report.page.click("#theme")
    report.page.select_option("#cell", first)
    assert report.page.evaluate(ink) != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_is_as_wide_as_the_window(browser, demo, width, scheme):
    SCREENSHOTS.mkdir(exist_ok=True)
    with opened(browser, demo / "report.html", width, color_scheme=scheme) as found:
        found.draw_all()
        found.page.screenshot(path=SCREENSHOTS / f"report_{width}_{scheme}.png", full_page=True)
        assert found.page.evaluate(TOO_WIDE) <= 0


def test_print_is_light_and_complete_and_has_no_buttons(browser, demo):
    with opened(browser, demo / "report.html", color_scheme="dark") as found:
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
