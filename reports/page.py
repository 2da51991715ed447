"""Contents -> one HTML file that holds its script, its style, its data and plotly.js, and asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup

from pipeline.scoring.published import Published, load_published
from reports import answer, contents, figures, file_table, trust
from reports.contents import Plot
from reports.file_table import NOTHING, FileRows
from reports.notices import notices
from reports.tables import Tables

TEMPLATES = Path(__file__).parent / "templates"


def render(tables: Tables, measured: FileRows = NOTHING) -> str:
    """The page's whole text; `measured` is of devices, see device_rows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    scripts = {"plotly": plotly.offline.get_plotlyjs(), "page": (TEMPLATES / "page.js").read_text(encoding="utf-8")}
    return environment.get_template("page.html.j2").render(
        title=", ".join(tables.sweeps["sweep"]),
        scripts={name: Markup(text) for name, text in scripts.items()},
        hashes=[_hash(text) for text in scripts.values()],
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        themes=embedded(figures.themes()),
        headline=answer.headline(tables),
        several=len(tables.sweeps) > 1,
        notices=notices(tables),
        near_copies=tables.near_copies.to_dict("records"),
        columns=answer.columns(tables.cells),
        rows=answer.table(tables.cells),
        records=embedded(answer.records(tables.cells)),
        tradeoff=contents.tradeoff(tables),
        differences=contents.differences(tables),
        files=contents.files(tables),
        file_rows=file_table.rows_of(tables.files),
        measured=measured,
        phone_note=file_table.phone_note(tables.files),
        processors=file_table.processors(tables.files),
        cells=contents.cells(tables),
        chosen=answer.best_cell(tables.cells) or 0,
        trust=trust.facts(tables),
        published=_published(tables),
        ours=trust.ours(tables),
        caveats=[caveat for caveat in tables.sweeps["caveat"].unique() if caveat],
        figure_json=figure_json,
    )


def embedded(value: Any) -> Markup:
    """JSON for a script element: no character in it can end the element or begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def figure_json(plot: Plot) -> Markup:
    """The figure without its template, which the page holds once."""
    figure: Mapping[str, Any] = json.loads(plot.figure.to_json())
    layout = {name: value for name, value in figure["layout"].items() if name != "template"}
    return embedded({"data": figure["data"], "layout": layout})


def _published(tables: Tables) -> list[Published]:
    """The rows about these data sets."""
    datasets = set(tables.sweeps["dataset"])
    return [row for row in load_published() if row.dataset in datasets]


def _hash(script: str) -> str:
    """As a Content-Security-Policy names the one script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
