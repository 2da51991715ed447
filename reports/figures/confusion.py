"""What is mistaken for what: the confusion matrix with look-alikes side by side, and the worst pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from reports.figures import style
from reports.figures.chart import Chart
from reports.figures.labels import inert, pct, plain

MOST_CLASSES = 200  # of the matrix; more cannot be told apart
MOST_LABELS = 40  # with more, names show on hover alone
_NAME = 16  # letters of a name along the axes
_TICKS = (0.05, 0.2, 0.5, 1.0)  # of the colour scale


class ConfusionInfo(NamedTuple):
    """Counts of the classes shown, rows are truths.

    Attributes:
        names: (n,), ordered so that classes that are confused with each other are neighbours.
        counts: (n, n).
        pictures: (n,), test pictures of each class, answers outside of the n classes included.
        classes: how many pictures are of, those not shown included; an answer may be none of them.
    """

    names: list[str]
    counts: NDArray[np.int64]
    pictures: NDArray[np.int64]
    classes: int

    @property
    def shares(self) -> NDArray[np.float64]:
        """(n, n) counts over the pictures of their row; 0 in the row of a class without pictures."""
        return self.counts / np.maximum(self.pictures, 1)[:, None]


def confusion_info(confusion: pd.DataFrame, most: int = MOST_CLASSES) -> ConfusionInfo | None:
    """From the counts of one cell: of more than `most` classes, those with most confusion. None where none occurs."""
    counted = confusion[confusion["count"] > 0]
    if counted.empty:
        return None
    truths, answers = counted["truth"].astype(str), counted["answer"].astype(str)
    names = sorted({*truths, *answers})
    rows, columns = pd.Index(names).get_indexer(truths), pd.Index(names).get_indexer(answers)
    amounts = counted["count"].to_numpy(dtype=np.int64)
    pictures = np.bincount(rows, amounts, len(names)).astype(np.int64)
    wrong = np.where(rows == columns, 0, amounts)
    confused = np.bincount(rows, wrong, len(names)) + np.bincount(columns, wrong, len(names))
    kept = np.sort(np.argsort(-confused, kind="stable")[:most])
    square = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(square, (rows, columns), amounts)
    chosen = ConfusionInfo([names[k] for k in kept], square[np.ix_(kept, kept)], pictures[kept], truths.nunique())
    order = _order(chosen.shares)
    counts = chosen.counts[np.ix_(order, order)]
    return ConfusionInfo([chosen.names[k] for k in order], counts, chosen.pictures[order], chosen.classes)


def confusion_figure(info: ConfusionInfo) -> go.Figure:
    """A square that can be zoomed into; the colour is the root of the share, or a few per cent would not be seen.

    Only what occurs is in the figure's data, so that 120 classes make 1,000 numbers rather than 14,400; the diagonal is
    always there, since it gives every class its row and column.
    """
    size = len(info.names)
    rows, columns = np.nonzero((info.counts > 0) | np.eye(size, dtype=bool))
    shares = info.shares[rows, columns]
    counts = zip(info.counts[rows, columns], info.pictures[rows], shares, strict=True)
    trace = go.Heatmap(
        x=columns.tolist(),
        y=rows.tolist(),
        z=np.sqrt(shares).round(3).tolist(),
        text=[f"{count} of {pictures}, {pct(share)}" for count, pictures, share in counts],
        coloraxis="coloraxis",
        hovertemplate="<b>%{y}</b><br>taken for %{x}<br>%{text}<extra></extra>",
        xgap=1 if size <= MOST_LABELS else 0,
        ygap=1 if size <= MOST_LABELS else 0,
    )
    axis = {
        "constrain": "domain",
        "range": [-0.5, size - 0.5],
        "showgrid": False,
        "showticklabels": size <= MOST_LABELS,
        "tickfont": {"size": 10},
        "ticks": "",
        "ticktext": [inert(name, _NAME) for name in info.names],
        "tickvals": list(range(size)),
    }
    return style.figure(
        [trace],
        560,
        coloraxis={"cmin": 0, "cmax": 1, "colorbar": _color_bar()},
        dragmode="zoom",
        xaxis={**axis, "side": "top", "tickangle": -90, "title": {"text": "answer"}},
        yaxis={
            **axis,
            "constraintoward": "top",
            "range": [size - 0.5, -0.5],
            "scaleanchor": "x",
            "title": {"text": "truth"},
        },
    )


def confusion_alt(info: ConfusionInfo) -> str:
    """How many are right, and the most frequent confusion."""
    right = int(info.counts.diagonal().sum())
    truths = int((info.pictures > 0).sum())
    shown = "" if truths == info.classes else f", the {truths} most confused of {info.classes}"
    text = f"Confusion of {truths} classes{shown}: {right} of {int(info.pictures.sum())} pictures are right."
    wrong = np.where(np.eye(len(info.names), dtype=bool), 0, info.counts)
    if not wrong.any():
        return text
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    pair = f"{plain(info.names[row])} taken for {plain(info.names[column])}"
    return f"{text} The most frequent confusion is {pair}, {wrong[row, column]} times."


CONFUSION = Chart(confusion_info, confusion_figure, confusion_alt)


def confused_pairs(confusion: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """The most frequent confusions: truth, answer, count, and share of the truth's pictures, a fraction.

    The names are as they came, not escaped.
    """
    pictures = confusion.groupby("truth")["count"].transform("sum")
    shared = confusion.assign(share=(confusion["count"] / pictures).astype(float))
    wrong = shared[(shared["truth"] != shared["answer"]) & (shared["count"] > 0)]
    ordered = wrong.sort_values(["count", "share"], ascending=False, kind="stable")
    return ordered[["truth", "answer", "count", "share"]].head(top).reset_index(drop=True)


def _order(shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Leaves of an average-linkage tree in which two classes are the nearer, the more they are confused either way."""
    if len(shares) < 3:
        return np.arange(len(shares))
    either = (shares + shares.T) / 2
    np.fill_diagonal(either, 0)
    apart = squareform(1 - either / (either.max() or 1), checks=False)
    return leaves_list(linkage(apart, "average", optimal_ordering=True)).astype(np.intp)


def _color_bar() -> dict[str, object]:
    return {
        "orientation": "h",
        "tickangle": 0,
        "tickfont": {"size": 11},
        "ticktext": [pct(tick, 0) for tick in _TICKS],
        "tickvals": [tick**0.5 for tick in _TICKS],
        "title": {"text": "share of the truth's pictures", "side": "bottom"},
        "len": 0.9,
        "y": 0,
        "yanchor": "bottom",
        "yref": "container",
    }
