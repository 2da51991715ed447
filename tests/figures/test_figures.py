"""What holds for every figure: None where nothing is to be shown, no fixed width, names that a browser finds inert."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

from reports import figures
from tests.figures import samples

TRIALS = samples.trials()
CURVES = samples.curves(TRIALS)
CONFUSION = samples.confusion(10, names=samples.HOSTILE)
CELLS = samples.cells("digits")
SWEEPS = samples.sweeps("digits")

CALLS = {
    "tradeoff": ("tradeoff", (CELLS, SWEEPS)),
    "tradeoff over parameters": ("tradeoff", (CELLS, SWEEPS, "params_total")),
    "curves of top-1": ("curves", (CURVES, TRIALS, "top1")),
    "curves of the loss": ("curves", (CURVES, TRIALS, "loss")),
    "history": ("history", (TRIALS,)),
    "slice": ("slice", (TRIALS, "beta_1")),
    "parallel": ("parallel", (TRIALS,)),
    "contour": ("contour", (TRIALS,)),
    "importances": ("importances", (TRIALS,)),
    "per class": ("per_class", (samples.per_class(CONFUSION),)),
    "confusion": ("confusion", (CONFUSION,)),
    "savings": ("savings", (0.75, 192, 10.0)),
}
OF_FRAMES = [name for name in CALLS if name != "savings"]


def info(name: str, args: tuple[object, ...]) -> object:
    return getattr(figures, f"{name}_info")(*args)


def draw(name: str, found: object) -> go.Figure:
    return getattr(figures, f"{name}_figure")(found)


@pytest.mark.parametrize("call", CALLS)
def test_a_figure_has_an_alt_text_and_no_width(call):
    name, args = CALLS[call]
    found = info(name, args)
    drawn = draw(name, found)
    assert drawn.layout.width is None
    assert drawn.layout.height > 100
    text = getattr(figures, f"{name}_alt")(found)
    assert re.search(r"\d", text)
    assert text.endswith(".")
    assert "nan" not in text


@pytest.mark.parametrize("call", OF_FRAMES)
def test_an_empty_frame_gives_none(call):
    name, args = CALLS[call]
    assert info(name, tuple(arg[:0] if isinstance(arg, pd.DataFrame) else arg for arg in args)) is None


@pytest.mark.parametrize("call", OF_FRAMES)
def test_frames_without_numbers_raise_nothing(call):
    name, args = CALLS[call]
    found = info(name, tuple(emptied(arg) for arg in args))
    if found is not None:
        draw(name, found).to_json()
        getattr(figures, f"{name}_alt")(found)


def emptied(arg: object) -> object:
    """A frame whose numbers are NaN, but for those that every row has."""
    if not isinstance(arg, pd.DataFrame):
        return arg
    numbers = arg.select_dtypes("number").columns.difference(["number", "epoch"])
    return arg.assign(**dict.fromkeys(numbers, math.nan))


@pytest.mark.parametrize("call", ["history", "slice", "parallel", "contour", "importances"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_search_that_just_began_raises_nothing(call, count):
    name, args = CALLS[call]
    found = info(name, (TRIALS[:count], *args[1:]))
    if found is not None:
        draw(name, found).to_json()


@pytest.mark.browser
def test_a_browser_shows_hostile_names_as_text(tmp_path: Path):
    if not (chromium := shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no chromium on PATH")
    drawn = [draw(CALLS[call][0], info(*CALLS[call])) for call in ("per class", "confusion")]
    page = tmp_path / "page.html"
    parts = [plotly.io.to_html(one, full_html=False, include_plotlyjs=k == 0) for k, one in enumerate(drawn)]
    page.write_text("<!doctype html><meta charset=utf-8>" + "".join(parts), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"]
    dom = subprocess.run([chromium, *flags, page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    texts = re.findall(r"<text [^>]*>(.*?)</text>", dom)
    names = [text for text in texts if "javascript" in text or "x&lt;/b&gt;" in text]
    assert len(names) >= 4  # per class, and on both axes of the matrix
    assert not [text for text in texts if re.search(r"<a[ >]|font-weight: *bold", text)]
    assert any("北京犬" in text for text in texts)
    assert any('a "quoted"' in text for text in texts)
