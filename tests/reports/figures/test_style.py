"""The look: colours that can be read in both themes, and themes that differ in their templates alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest

from reports.figures import style


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, value


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("color", [*style.COLORS[:4], style.GREY])
def test_marks_stand_out_from_both_backgrounds(color, theme):
    assert contrast(color, style.BACKGROUND[theme]) >= 3  # WCAG 2.2, 1.4.11


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background(theme):
    font = style.themes()[theme]["template"]["layout"]["font"]
    assert contrast(font["color"], style.BACKGROUND[theme]) >= 7


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_low_end_of_the_colour_scale_is_the_one_nearer_to_the_background(theme):
    scale = style.themes()[theme]["template"]["layout"]["coloraxis"]["colorscale"]
    ends = [
        "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", color)) for _, color in (scale[0], scale[-1])
    ]
    low, high = (contrast(end, style.BACKGROUND[theme]) for end in ends)
    assert 1.3 < low < 2.2 < 9 < high


def test_themes_name_the_same_things():
    light, dark = (dict(leaves(style.themes()[theme])) for theme in ("light", "dark"))
    assert light.keys() == dark.keys()
    assert {path.split(".")[-1] for path in light if light[path] != dark[path]} == {
        *("color", "colorscale", "bgcolor", "bordercolor", "gridcolor", "linecolor", "tickcolor")
    }


def test_a_figure_has_no_width_of_its_own():
    drawn = style.figure([go.Scatter(x=[1], y=[1])], 300)
    assert drawn.layout.width is None
    assert drawn.layout.height == 300
    assert drawn.layout.template.to_plotly_json()["layout"]["hovermode"] == "closest"


def test_no_two_series_look_alike():
    assert len({style.mark(index) for index in range(36)}) == 36
