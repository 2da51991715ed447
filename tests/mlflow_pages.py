"""The MLflow UI, clicked as the README says, in a real browser."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PATIENCE = 60_000  # ms; the UI is a large program, and the machine may be busy
COMPARISON = "metrics.test_top1 > 0"  # the cells, and the published rows


@dataclass(frozen=True)
class MlflowPages:
    """One experiment in the UI of a running server."""

    page: Page
    address: str
    experiment_id: str

    def open_runs(self, filter_string: str = "", charts: bool = False) -> None:
        """The list of training runs, or with `charts` the list beside charts of their metrics."""
        self.page.set_default_timeout(PATIENCE)
        asked = {"searchFilter": filter_string, **({"compareRunsMode": "CHART"} if charts else {})}
        self.page.goto(f"{self._experiment}?{urllib.parse.urlencode(asked, quote_via=urllib.parse.quote)}")
        self.row("sweep").wait_for()

    def click_to_runs(self) -> None:
        """The same list, from the UI's first page on, by what the README says."""
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(self.address)
        self.page.get_by_text("Model training").first.click()
        self.page.get_by_role("link", name="alpharho", exact=True).first.click()
        self.row("sweep").wait_for()

    def row(self, name: str) -> Locator:
        """The first run whose name holds `name`."""
        return self.page.locator("[role=row]").filter(has=self.page.locator("a", has_text=name)).first

    def expand(self, name: str) -> None:
        """Shows the runs below this one, by the plus in its row."""
        self.row(name).get_by_role("button").first.click()

    def names(self) -> list[str]:
        """Of the runs that the list shows."""
        return self.page.locator("[role=row] a[href*='/runs/']").all_inner_texts()

    def show_all(self) -> None:
        """Opens the eyes of all runs of the list: their charts draw the first ten until then."""
        self.page.get_by_label("Toggle visibility of runs").click()
        self.page.get_by_text("Show all runs").click()

    def add_scatter(self, x: str, y: str) -> None:
        """A chart of two metrics."""
        self.page.get_by_role("button", name="Add chart").first.click()
        self.page.get_by_role("menuitem", name="Scatter chart").click()
        dialog = self.page.get_by_role("dialog")
        for index, metric in enumerate((x, y)):
            axis = dialog.locator("input[type=search]").nth(index)
            axis.fill(metric)  # without a click: the name of what is chosen lies over it
            self.page.get_by_title(metric, exact=True).locator("visible=true").last.click()
        dialog.get_by_role("button", name="Add chart").click()

    def open_metrics(self, run_id: str) -> None:
        """A run's tab of charts."""
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(f"{self._experiment}/{run_id}/model-metrics")

    def search_charts(self, metric: str) -> None:
        """Leaves only the chart of this metric; the UI draws none that is not in view."""
        self.page.get_by_placeholder("Search metric charts").fill(f"^{metric}$")

    @property
    def _experiment(self) -> str:
        return f"{self.address}/#/experiments/{self.experiment_id}/runs"
