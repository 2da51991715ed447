"""Words and numbers as figures show them."""

from __future__ import annotations

import math

import pytest

from reports.figures import labels


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("mobilenet_0.75_192", "0.75-192"),
        ("mobilenet_v2_1.4_224", "mobilenet_v2 1.4-224"),
        ("inception_v3_1.0_299", "inception_v3 299"),
        ("inception_v3", "inception_v3"),
        ("a mobilenet_0.75_192", "a mobilenet_0.75_192"),
        ("", ""),
    ],
)
def test_a_cell_is_named_by_its_multipliers(cell, label):
    assert labels.cell_label(cell) == label


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ('<a href="javascript:alert(1)">x</a>', '&lt;a href="javascript:alert(1)"&gt;x&lt;/a&gt;'),
        ("a &lt; b", "a &amp;lt; b"),
        ("two\r\n lines\x00", "two lines"),
        ("北京犬", "北京犬"),
        ("می\u200cروم", "می\u200cروم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d🌾", "👩\u200d🌾"),
        ("a\u202eb\u2066c\u200fd", "a b c d"),
        ("\u200d \u200c", "(no name)"),
        ("  ", "(no name)"),
    ],
)
def test_names_are_inert(name, shown):
    assert labels.inert(name) == shown


def test_long_names_are_cut_before_they_are_escaped():
    assert labels.inert("<" * 100, 10) == "&lt;" * 9 + "…"
    assert labels.plain("a" * 10, 10) == "a" * 10
    assert labels.plain("a" * 11, 10) == "a" * 9 + "…"
    assert labels.plain("a" * 8 + "\u200d" + "b" * 9, 10) == "a" * 8 + "…"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-5, "1e-5"),
        (8.28e-5, "8.28e-5"),
        (0.0317, "0.0317"),
        (0, "0"),
        (27.41, "27.4"),
        (5000, "5,000"),
        (math.nan, "-"),
    ],
)
def test_numbers_are_short(number, text):
    assert labels.short(number) == text


def test_fractions_are_percents_and_differences_have_a_sign():
    assert labels.pct(0.91742) == "91.7 %"
    assert labels.points(0.042) == "+4.2"
    assert labels.points(-0.042) == "-4.2"
    assert labels.millions(27_400_000) == "27.4 M"
    assert labels.pct(math.nan) == labels.points(math.nan) == labels.millions(math.nan) == "-"


def test_plotly_gets_none_for_what_json_lacks():
    assert [labels.number_or_none(value) for value in (1, math.nan, math.inf, None)] == [1.0, None, None, None]
