"""The confusion matrix and the worst pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.figures import confusion
from tests.reports.figures import frame_samples


def test_the_matrix_is_the_counts_in_another_order():
    frame = frame_samples.confusion(20)
    info = confusion.confusion_info(frame)
    counts = frame.set_index(["truth", "answer"])["count"]
    assert sorted(info.names) == sorted(frame["truth"].unique())
    for row, truth in enumerate(info.names):
        for column, answer in enumerate(info.names):
            assert info.counts[row, column] == counts.get((truth, answer), 0)
    assert np.allclose(info.shares.sum(axis=1), 1)


def test_look_alikes_stand_side_by_side():
    info = confusion.confusion_info(frame_samples.confusion(60))
    offset = np.abs(np.subtract.outer(range(60), range(60)))
    wrong = info.counts * (offset > 0)
    assert wrong[offset <= 4].sum() > 0.6 * wrong.sum()  # groups of five; at random it would be 0.13


def test_of_many_classes_the_most_confused_are_shown():
    frame = frame_samples.confusion(1000)
    info = confusion.confusion_info(frame)
    assert len(info.names) == confusion.MOST_CLASSES
    assert info.classes == 1000
    wrong = frame[frame["truth"] != frame["answer"]]
    confused = wrong.groupby("truth")["count"].sum().add(wrong.groupby("answer")["count"].sum(), fill_value=0)
    assert confused[info.names].min() >= confused.drop(info.names).max()
    assert (info.pictures == 50).all()  # answers outside of the matrix are pictures, too
    assert "the 200 most confused of 1000" in confusion.confusion_alt(info)


def test_only_what_occurs_is_in_the_figure():
    frame = frame_samples.confusion(120)
    info = confusion.confusion_info(frame)
    trace = confusion.confusion_figure(info).data[0]
    missing = sum(info.counts.diagonal() == 0)
    assert len(trace.z) == len(frame) + missing
    assert set(trace.x) == set(trace.y) == set(range(120))


@pytest.mark.parametrize(("classes", "is_labelled"), [(40, True), (41, False)])
def test_names_stand_along_the_axes_where_there_is_room(classes, is_labelled):
    drawn = confusion.confusion_figure(confusion.confusion_info(frame_samples.confusion(classes)))
    assert drawn.layout.xaxis.showticklabels is is_labelled
    assert len(drawn.layout.yaxis.ticktext) == classes  # on hover they are read from here


def test_names_are_inert():
    info = confusion.confusion_info(frame_samples.confusion(10, names=frame_samples.HOSTILE))
    drawn = confusion.confusion_figure(info)
    for shown in (drawn.layout.xaxis.ticktext, drawn.layout.yaxis.ticktext, drawn.data[0].text):
        assert "<" not in "".join(shown)
    assert "&lt;b&gt;x&lt;/b&gt;" in drawn.layout.xaxis.ticktext


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes_need_no_tree(classes):
    frame = pd.DataFrame({"truth": list("abc")[:classes], "answer": list("abc")[:classes], "count": 5})
    info = confusion.confusion_info(frame)
    assert sorted(info.names) == list("abc")[:classes]
    assert confusion.confusion_alt(info).endswith(f"{5 * classes} of {5 * classes} pictures are right.")


def test_an_answer_that_is_no_class_is_not_counted_as_one():
    frame = pd.DataFrame({"truth": ["a", "b"], "answer": ["a", "(output 7)"], "count": [3, 1]})
    assert confusion.confusion_alt(confusion.confusion_info(frame)).startswith("Confusion of 2 classes: 3 of 4 ")


def test_a_class_that_is_only_ever_answered_has_an_empty_row():
    frame = pd.DataFrame({"truth": ["a", "a", "b"], "answer": ["a", "c", "b"], "count": [3, 2, 4]})
    info = confusion.confusion_info(frame)
    row = info.names.index("c")
    assert info.pictures[row] == 0
    assert info.shares[row].sum() == 0
    assert "0 of 0, 0.0 %" in confusion.confusion_figure(info).data[0].text


def test_pairs_are_ordered_and_shares_are_of_the_truth():
    frame = pd.DataFrame(
        {"truth": ["a", "a", "b", "b", "c"], "answer": ["a", "b", "a", "b", "a"], "count": [8, 2, 2, 2, 1]}
    )
    pairs = confusion.confused_pairs(frame, top=2)
    assert pairs.to_dict("list") == {
        "truth": ["b", "a"],
        "answer": ["a", "b"],
        "count": [2, 2],
        "share": [0.5, 0.2],
    }
    assert confusion.confused_pairs(frame[:1]).empty


def test_the_alt_text_names_the_most_frequent_confusion():
    frame = pd.DataFrame({"truth": ["a", "a", "b"], "answer": ["a", "b", "b"], "count": [3, 2, 5]})
    assert confusion.confusion_alt(confusion.confusion_info(frame)) == (
        "Confusion of 2 classes: 8 of 10 pictures are right. The most frequent confusion is a taken for b, 2 times."
    )
