"""A real headless Chromium for tests, and pages opened in it under watch."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# Functions of one `.plot` of the page. A mark counts if it has an extent and lies inside its figure.
MARKS = """plot => {
  const frame = plot.getBoundingClientRect();
  const parts = ".scatterlayer .point, .scatterlayer .js-line, .barlayer .point path, .heatmaplayer image";
  return [...plot.querySelectorAll(parts)].map(mark => mark.getBoundingClientRect()).filter(box =>
    box.width + box.height > 0 && box.right > frame.left && box.left < frame.right && box.bottom > frame.top
    && box.top < frame.bottom).length;
}"""
PAINTED = """plot => {
  const pixels = canvas => {
    const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height});
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const bytes = context.getImageData(0, 0, copy.width, copy.height).data;
    return bytes.filter((value, index) => index % 4 === 3 && value).length;
  };
  return [...plot.querySelectorAll("canvas")].reduce((sum, canvas) => sum + pixels(canvas), 0);
}"""  # pixels of all canvases that are not clear, of parallel coordinates
DRAW_ALL = """async () => {
  const shown = [...document.querySelectorAll(".plot")].filter(plot => plot.offsetParent);
  for (const plot of shown) {
    plot.scrollIntoView({block: "center"});
    while (!plot.querySelector(".main-svg")) await new Promise(requestAnimationFrame);
  }
  scrollTo(0, 0);
  return shown.map(plot => plot.id);
}"""

TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"  # px, positive where the page scrolls sideways


def why_no_chromium() -> str:
    """Why this machine has no browser for tests; empty where it has one."""
    if importlib.util.find_spec("playwright") is None:
        return "no playwright: install requirements-dev.txt"
    return "" if shutil.which("chromium") else "no chromium on PATH: install Debian's package"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, for playwright's own would be a download. It may run as root, hence no sandbox."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page from disk with the network off.

    Attributes:
        wrong: errors and warnings of its console, exceptions and dialogs; dialogs are dismissed.
        asked: the URLs of all its requests.
    """

    page: Page
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        """Notes errors and warnings, but not those of a graphics driver that is software here."""
        if said.type in ("error", "warning") and "GL Driver Message" not in said.text:
            self.wrong.append(said.text)

    def draw_all(self) -> list[str]:
        """Brings every figure of the chosen cell into view, so that it is drawn. Returns their ids."""
        return self.page.evaluate(DRAW_ALL)

    def cells(self) -> list[str]:
        """What the page's select offers."""
        return self.page.locator("#cell option").evaluate_all("options => options.map(option => option.value)")


@contextlib.contextmanager
def opened(browser: Browser, path: Path, width: int = 1440, **how: Any) -> Iterator[Opened]:
    """Opens an HTML file; `how` are further options of playwright's new_context."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **how)
    found = Opened(context.new_page())
    found.page.set_default_timeout(10_000)
    found.page.on("console", found.hear)
    found.page.on("pageerror", lambda error: found.wrong.append(str(error)))
    found.page.on("dialog", lambda dialog: (found.wrong.append(dialog.message), dialog.dismiss()))
    found.page.on("request", lambda request: found.asked.append(request.url))
    try:
        found.page.goto(path.as_uri())
        yield found
    finally:
        context.close()


def column(page: Page, index: int, attribute: str = "") -> list[str]:
    """One column of the page's table of cells, top down: the texts, or an attribute."""
    read = f"cell => cell.getAttribute('{attribute}')" if attribute else "cell => cell.textContent"
    return page.locator(f"#cells tbody tr > :nth-child({index + 1})").evaluate_all(f"cells => cells.map({read})")
