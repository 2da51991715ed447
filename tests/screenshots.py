"""The README's pictures, of a sweep that ran in a folder: reports/pictures/report.png and mlflow.png.

make demo && .venv/bin/python -m tests.screenshots [FOLDER]
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from PIL import Image

from tests.browser import chromium, opened
from tests.mlflow_pages import MlflowPages
from tests.servers import MlflowServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = Path(__file__).parents[1] / "reports" / "pictures"
COLORS = 64  # of a palette, which makes a third of the bytes


def main(folder: Path) -> None:
    """Takes both pictures of the sweep in `folder`, which holds mlflow.db and report.html."""
    PICTURES.mkdir(exist_ok=True)
    with chromium() as browser:
        with opened(browser, folder / "report.html", 1000, color_scheme="light") as found:
            found.draw_all()
            _keep(found.page.locator("#tradeoff .grid").screenshot(), "report.png")
        _keep(_nested_runs(browser, f"sqlite:///{folder}/mlflow.db"), "mlflow.png")


def _nested_runs(browser: Browser, store: str) -> bytes:
    """The list of runs, with the sweep and its newest cell unfolded."""
    experiment = MlflowClient(store).get_experiment_by_name("alpharho")
    with tempfile.TemporaryDirectory() as logs, MlflowServer(store, Path(logs)) as server:
        pages = MlflowPages(
            browser.new_page(viewport={"width": 1200, "height": 760}), server.address, experiment.experiment_id
        )
        pages.click_to_runs()
        pages.page.get_by_role("button", name="Close").first.click()  # the assistant
        pages.expand("sweep")
        pages.row("-frozen").wait_for()
        pages.expand("-frozen")
        pages.row("trial 0").wait_for()
        return pages.page.screenshot()


def _keep(screenshot: bytes, name: str) -> None:
    Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(COLORS).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").absolute())
