"""What a person sees of a sweep in MLflow's own UI, following the README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect

from tests.mlflow_pages import COMPARISON, PATIENCE, MlflowPages
from tests.servers import MlflowServer

expect.set_options(timeout=PATIENCE)
pytestmark = [pytest.mark.browser, pytest.mark.slow]
CELLS = {f"digits-mobilenet_{alpha}_{side}-frozen" for alpha in ("0.25", "0.5") for side in (48, 96)}


def studied(pages: MlflowPages) -> set[str]:
    """The names of the runs that the list shows, without the digits that tell a study's settings."""
    return {re.sub(r"-[0-9a-f]{6}$", "", name) for name in pages.names()}


@pytest.fixture(scope="module")
def server(demo, tmp_path_factory) -> Iterator[MlflowServer]:
    with MlflowServer(f"sqlite:///{demo}/mlflow.db", tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def pages(browser, server, demo) -> Iterator[MlflowPages]:
    """In a context of its own, since the UI remembers which runs were unfolded."""
    experiment = MlflowClient(f"sqlite:///{demo}/mlflow.db").get_experiment_by_name("alpharho").experiment_id
    context = browser.new_context(viewport={"width": 1500, "height": 1600})
    yield MlflowPages(context.new_page(), server.address, experiment)
    context.close()


def test_the_sweep_holds_its_cells_and_a_cell_its_trials(pages):
    pages.click_to_runs()
    assert not any(name.startswith("digits-") for name in pages.names())
    pages.expand("sweep digits")
    pages.row("digits-mobilenet_0.5_96").wait_for()
    assert studied(pages) >= CELLS
    pages.expand("digits-mobilenet_0.5_96")
    pages.row("mobilenet_0.5_96 trial 0").wait_for()
    trials = {name for name in pages.names() if name.startswith("mobilenet_0.5_96 trial ")}
    assert trials == {f"mobilenet_0.5_96 trial {number}" for number in range(16)}


@pytest.mark.parametrize("metric", ["train_loss", "train_top1", "val_loss", "val_top1", "learning_rate"])
def test_a_trials_epochs_are_a_curve(pages, demo, metric):
    client = MlflowClient(f"sqlite:///{demo}/mlflow.db")
    trial = client.search_runs([pages.experiment_id], "tags.`optuna.state` = 'COMPLETE'", max_results=1)[0]
    pages.open_metrics(trial.info.run_id)
    pages.search_charts(metric)
    expect(pages.page.locator(".js-plotly-plot")).to_have_count(1)
    expect(pages.page.locator(".scatterlayer .js-line")).not_to_have_count(0)  # a constant one has no height to be seen
    expect(pages.page.locator(".scatterlayer .point")).to_have_count(30)  # epochs


def test_one_chart_holds_the_cells_and_the_published_rows(pages):
    pages.open_runs(COMPARISON, charts=True)
    pages.expand("sweep digits")  # the UI draws no run that is folded away
    pages.row("digits-mobilenet_0.5_96").wait_for()
    assert studied(pages) >= CELLS | {"paper mobilenet_1.0_224", "replication mobilenet_0.75_192"}
    pages.show_all()
    pages.add_scatter("mult_adds", "test_top1")
    pages.search_charts("test_top1")
    bars = pages.page.locator(".barlayer .point")
    expect(bars).to_have_count(4 + 10)
    assert len(re.findall(r"0\.\d\d", " ".join(pages.page.locator(".barlayer .bartext").all_text_contents()))) == 14
    pages.search_charts("mult_adds")  # not by "mult_adds vs", the scatter's title, which the UI does not always find
    expect(pages.page.locator(".scatterlayer .point")).to_have_count(4 + 5)  # the replication gives no mult-adds


def test_the_readme_shows_pictures_that_are_there():
    root = Path(__file__).parents[1]
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (root / "README.md").read_text(encoding="utf-8"))
    assert shown
    assert [path for path in shown if not (root / path).is_file()] == []
