"""Which cell is better on the test pictures, and how sure that is: a matrix of every cell against every other."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from reports.figures import style
from reports.figures.chart import Chart
from reports.figures.frames import rows
from reports.figures.labels import cell_label, lines, points
from reports.tables.compared import TEST, UNTRAINED, against

MOST_LABELS = 8  # cells; of more, numbers show on hover alone
SURE = 0.05


class DifferencesInfo(NamedTuple):
    """Cells by cost; `cells[i]` less `cells[j]` stands in row i, column j, None where they were not compared.

    Attributes:
        differences: fractions of top-1.
        texts: the same in points, with an asterisk where p, after Holm's correction, is below 0.05.
        hovers: with interval, flips and p.
        told: how many pairs are told apart so, of how many.
    """

    cells: list[str]
    differences: list[list[float | None]]
    texts: list[list[str]]
    hovers: list[list[str]]
    told: tuple[int, int]


def differences_info(cells: pd.DataFrame, pairs: pd.DataFrame) -> DifferencesInfo | None:
    """Of one sweep; None where no two cells were compared on test pictures."""
    tested = pairs[(pairs["split"] == TEST) & (pairs["second"] != UNTRAINED)]
    if tested.empty:
        return None
    names = [
        row.cell for row in rows(cells.sort_values("mult_adds")) if row.cell in {*tested["first"], *tested["second"]}
    ]
    table = [[against(tested, one, other, TEST) for other in names] for one in names]
    return DifferencesInfo(
        cells=[cell_label(name) for name in names],
        differences=[[None if pair is None else float(pair["difference"]) for pair in row] for row in table],
        texts=[[_text(pair) for pair in row] for row in table],
        hovers=[[_hover(pair) for pair in row] for row in table],
        told=(int((tested["p_holm"] < SURE).sum()), len(tested)),
    )


def differences_figure(info: DifferencesInfo) -> go.Figure:
    """Blue where the cell of the row is better."""
    percents = [[None if value is None else 100 * value for value in row] for row in info.differences]
    most = max((abs(value) for row in percents for value in row if value is not None), default=1.0) or 1.0
    trace = go.Heatmap(
        x=info.cells,
        y=info.cells,
        z=percents,
        zmin=-most,
        zmax=most,
        text=info.texts,
        texttemplate="%{text}" if len(info.cells) <= MOST_LABELS else None,
        hovertext=info.hovers,
        hovertemplate="%{hovertext}<extra></extra>",
        coloraxis="coloraxis",
        xgap=2,
        ygap=2,
    )
    return style.figure(
        [trace],
        max(260, 60 + 40 * len(info.cells)),
        coloraxis={"colorscale": style.DIVERGING, "cmin": -most, "cmax": most, "showscale": False},
        xaxis={"title": {"text": "less"}, "type": "category", "showgrid": False},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False},
    )


def differences_alt(info: DifferencesInfo) -> str:
    """How many pairs are told apart."""
    told, count = info.told
    return (
        f"Differences of test top-1 between {len(info.cells)} cells, in points: {told} of {count} pairs are told apart "
        "after Holm's correction."
    )


DIFFERENCES = Chart(differences_info, differences_figure, differences_alt)


def _text(pair: pd.Series | None) -> str:
    return "" if pair is None else points(pair["difference"]) + ("*" if pair["p_holm"] < SURE else "")


def _hover(pair: pd.Series | None) -> str:
    if pair is None:
        return ""
    first, second = cell_label(pair["first"]), cell_label(pair["second"])
    return lines(
        f"<b>{first}</b> less <b>{second}</b>",
        f"{points(pair['difference'])} points [{points(pair['low'])}, {points(pair['high'])}]",
        f"{pair['only_first']} pictures only {first} has right, {pair['only_second']} only {second}",
        f"McNemar p {pair['p']:.2g}, {pair['p_holm']:.2g} after Holm",
    )
