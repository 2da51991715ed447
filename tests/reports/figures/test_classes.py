"""Accuracy per class."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.scoring.metrics import wilson_interval
from reports.figures import classes
from tests.reports.figures import frame_samples


def frame(count: int) -> pd.DataFrame:
    return frame_samples.per_class(frame_samples.confusion(count))


def test_the_worst_come_first_with_their_intervals():
    info = classes.per_class_info(frame(120))
    tops = [row.top1 for row in info.worst]
    assert tops == sorted(tops)
    assert info.classes == len(info.worst) == 120
    assert info.best == []
    worst = info.worst[0]
    assert (worst.low, worst.high) == wilson_interval(worst.correct, worst.pictures)


def test_each_class_has_a_row_to_itself():
    small, large = (classes.per_class_figure(classes.per_class_info(frame(count))) for count in (12, 120))
    assert large.layout.height - small.layout.height >= 108 * 14
    assert len(set(large.data[0].y)) == len(large.layout.yaxis.ticktext) == 120


def test_of_a_thousand_classes_both_ends_are_shown_and_the_rest_counted():
    info = classes.per_class_info(frame(1000))
    assert (len(info.worst), len(info.best), info.classes) == (60, 20, 1000)
    assert info.worst[-1].top1 <= info.best[0].top1
    drawn = classes.per_class_figure(info)
    assert drawn.layout.annotations[0].text == "920 classes between these are not shown"
    assert drawn.layout.height < 1500
    assert classes.per_class_alt(info).endswith("920 classes between these are not shown.")


def test_a_class_without_pictures_is_left_out():
    table = frame(5)
    table.loc[0, ["pictures", "correct"]] = 0
    info = classes.per_class_info(table)
    assert [row.name for row in info.worst].count("class 0") == 0
    assert info.classes == 4


@pytest.mark.parametrize("at", ["ticktext", "hovertext"])
def test_names_are_inert(at):
    info = classes.per_class_info(frame_samples.per_class(frame_samples.confusion(10, names=frame_samples.HOSTILE)))
    drawn = classes.per_class_figure(info)
    shown = drawn.layout.yaxis.ticktext if at == "ticktext" else drawn.data[0].hovertext
    text = " ".join(shown).replace("<b>", "").replace("</b>", "").replace("<br>", "")  # ours
    assert "<" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "北京犬" in text
    assert "می\u200cروم" in text
    assert "\u202e" not in text


def test_names_that_are_alike_once_cut_keep_their_rows():
    long = [f"{'a' * 40}{k}" for k in range(10)]
    table = frame(10).assign(class_name=long)
    drawn = classes.per_class_figure(classes.per_class_info(table))
    assert len(set(drawn.layout.yaxis.ticktext)) == 1
    assert len(set(drawn.data[0].y)) == 10
