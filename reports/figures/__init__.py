"""Frames -> plain numbers -> figures.

Each figure is three functions: `x_info(frames...)` gives the numbers as a named tuple, or None where there is nothing
to show; `x_figure(info)` draws them; `x_alt(info)` says them in one or two sentences. None of them raises on an empty
frame or on NaN. The functions about one cell take the rows of that cell alone, as `of_cell` picks them.
"""

from reports.figures.classes import per_class_alt, per_class_figure, per_class_info
from reports.figures.confusion import confused_pairs, confusion_alt, confusion_figure, confusion_info
from reports.figures.curves import curves_alt, curves_figure, curves_info
from reports.figures.frames import of_cell
from reports.figures.labels import cell_label
from reports.figures.landscape import (
    contour_alt,
    contour_figure,
    contour_info,
    parallel_alt,
    parallel_figure,
    parallel_info,
)
from reports.figures.savings import savings_alt, savings_figure, savings_info
from reports.figures.search import (
    edge_note,
    history_alt,
    history_figure,
    history_info,
    importances_alt,
    importances_figure,
    importances_info,
    slice_alt,
    slice_figure,
    slice_info,
)
from reports.figures.style import themes
from reports.figures.tradeoff import pareto, tradeoff_alt, tradeoff_figure, tradeoff_info

__all__ = [
    "cell_label",
    "confused_pairs",
    "confusion_alt",
    "confusion_figure",
    "confusion_info",
    "contour_alt",
    "contour_figure",
    "contour_info",
    "curves_alt",
    "curves_figure",
    "curves_info",
    "edge_note",
    "history_alt",
    "history_figure",
    "history_info",
    "importances_alt",
    "importances_figure",
    "importances_info",
    "of_cell",
    "parallel_alt",
    "parallel_figure",
    "parallel_info",
    "pareto",
    "per_class_alt",
    "per_class_figure",
    "per_class_info",
    "savings_alt",
    "savings_figure",
    "savings_info",
    "slice_alt",
    "slice_figure",
    "slice_info",
    "themes",
    "tradeoff_alt",
    "tradeoff_figure",
    "tradeoff_info",
]
