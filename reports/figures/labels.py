"""Words and numbers as figures show them.

Plotly reads some HTML in every label and hover text (`<b>`, `<a href>`, `<br>`, entities), so a name from the data goes
through `inert` before it enters a figure. Alt texts are plain: the page escapes them like all its text.
"""

from __future__ import annotations

import html
import math
import unicodedata
from typing import Any

from pipeline.config import Cell

# Zero-width (non-)joiners: control characters by category, but Persian and Hindi are misspelt without them and an emoji
# of several parts falls apart.
_JOINERS = "\u200c\u200d"


def cell_label(cell: str) -> str:
    """ "mobilenet_0.75_192" -> "0.75-192", "inception_v3_1.0_299" -> "inception_v3 299"; anything else as it is."""
    named = Cell.named_in(cell)
    if named is None or named.name != cell:
        return cell
    multipliers = f"{named.alpha}-{named.resolution}" if named.architecture.has_multiplier else str(named.resolution)
    return multipliers if named.backbone == "mobilenet" else f"{named.backbone} {multipliers}"


def plain(name: Any, length: int = 60) -> str:
    """On one line, at most `length` characters, the last of them an ellipsis where something was cut."""
    words = " ".join("".join(" " if _is_control(letter) else letter for letter in str(name)).split())
    if not words.strip(_JOINERS + " "):
        return "(no name)"
    return words if len(words) <= length else words[: length - 1].rstrip(_JOINERS + " ") + "…"


def inert(name: Any, length: int = 60) -> str:
    """`plain`, with no markup that Plotly would act on."""
    return html.escape(plain(name, length), quote=False)  # Plotly knows no &quot; and would show it


def pct(fraction: float, digits: int = 1) -> str:
    """0.9174 -> "91.7 %"; "-" where it is unknown."""
    return "-" if _unknown(fraction) else f"{100 * fraction:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points: 0.042 -> "+4.2"."""
    return "-" if _unknown(difference) else f"{100 * difference:+.1f}"


def short(number: float) -> str:
    """Three digits or so: 1e-5, 0.0317, 1.93, 27.4, 5,000; "-" where it is unknown."""
    if _unknown(number):
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}".replace("e-0", "e-")


def millions(count: float) -> str:
    """An absolute count: 27400000 -> "27.4 M"."""
    return "-" if _unknown(count) else f"{short(count / 1e6)} M"


def number_or_none(value: float) -> float | None:
    """For Plotly, whose JSON has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def lines(*parts: str) -> str:
    """One hover text out of its lines; the empty ones are left out."""
    return "<br>".join(part for part in parts if part)


def _is_control(letter: str) -> bool:
    """Also what turns the direction of the text behind it."""
    return unicodedata.category(letter).startswith("C") and letter not in _JOINERS


def _unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
