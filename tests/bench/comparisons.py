"""How often the intervals of compare.py hold the truth, and how often a model that loses too much is called enough.

    python -m tests.bench.comparisons

Simulated answers, by seed; the tables of docs/statistics.md. Five minutes on one core.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from scipy.stats import norm, t

from pipeline.scoring import compare
from pipeline.shell import cli

PICTURES = (100, 360, 1200, 5000)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15)  # flips as a fraction of the pictures
LOSSES = (0.0, 0.01, 0.02, 0.05)  # true top-1 of the second model minus that of the first
TOP1 = 0.85  # of the second model; of the methods, only Newcombe's depends on it
TABLES = 20_000
GROUPED_TABLES = 2_000
ALIKE = (0.0, 0.3, 0.8)  # correlation of the answers within a group
LARGEST_GROUP = 10
Z = norm.ppf(0.975)

Counts = np.ndarray  # int (tables,)
Bounds = tuple[np.ndarray, np.ndarray]


def main() -> None:
    console = Console(width=200)
    rng = np.random.default_rng(0)
    console.print(_independent(rng))
    console.print(_grouped(rng))
    console.print(_detectable())


def _independent(rng: np.random.Generator) -> Table:
    table = _table(
        f"Independent pictures, {TABLES:,} tables a row",
        *("pictures", "flips %", "loss", "Tango", "Bonett, Price", "Newcombe", "t", "called enough"),
    )
    for pictures in PICTURES:
        for share, loss in _settings(SHARES):
            flips = np.array([(share - loss) / 2, (share + loss) / 2])
            both = TOP1 - flips[1]
            drawn = rng.multinomial(pictures, [*flips, both, 1 - both - share], TABLES)
            counts, times = np.unique(drawn, axis=0, return_counts=True)
            weights = times / TABLES
            bounds = [method(*counts.T) for method in (tango, bonett_price, newcombe, paired_t)]
            held = [f"{100 * weights[(low <= -loss) & (-loss <= high)].sum():.1f}" for low, high in bounds]
            enough = f"{100 * weights[bounds[0][0] > -loss].sum():.1f}" if loss else ""
            table.add_row(f"{pictures:,}", f"{100 * share:.0f}", f"{100 * loss:.0f}", *held, enough)
    return table


def _grouped(rng: np.random.Generator) -> Table:
    table = _table(
        f"Groups of 1 to {LARGEST_GROUP} pictures, {GROUPED_TABLES:,} tables a row",
        *("pictures", "flips %", "loss", "alike", "held, groups unknown", "held", "called enough", "p < 0.05"),
    )
    for pictures in PICTURES[1:]:
        for share, loss in _settings(SHARES[1:4]):
            for alike in ALIKE:
                drawn = [grouped_answers(rng, pictures, share, loss, alike) for _ in range(GROUPED_TABLES)]
                found = [compare.compare(first, second, groups) for first, second, groups in drawn]
                unknown = [_tango(each.only_first, each.only_second, pictures) for each in found]
                held_unknown = np.mean([low <= -loss <= high for low, high in unknown])
                held = np.mean([each.interval[0] <= -loss <= each.interval[1] for each in found])
                enough = np.mean([each.interval[0] > -loss for each in found])
                alarms = np.mean([each.p < 0.05 for each in found])
                table.add_row(
                    *(f"{pictures:,}", f"{100 * share:.0f}", f"{100 * loss:.0f}", f"{alike}"),
                    *(f"{100 * held_unknown:.1f}", f"{100 * held:.1f}"),
                    *(f"{100 * enough:.1f}" if loss else "", "" if loss else f"{100 * alarms:.1f}"),
                )
    return table


def _detectable() -> Table:
    table = _table(
        "Points that two cells must differ by", "pictures", *(f"flips {100 * share:.0f} %" for share in SHARES)
    )
    for pictures in PICTURES:
        table.add_row(f"{pictures:,}", *(f"{100 * compare.detectable(share, pictures):.1f}" for share in SHARES))
    return table


def grouped_answers(
    rng: np.random.Generator, pictures: int, share: float, loss: float, alike: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """bool (n,) and bool (n,), whether two models are right, and int (n,), the groups.

    A picture has the answers of its group with a probability of the root of `alike`, else its own.
    """
    sizes = rng.integers(1, LARGEST_GROUP + 1, pictures)
    groups = np.repeat(np.arange(pictures), sizes)[:pictures]
    follows = rng.random(pictures) < np.sqrt(alike)
    drawn = np.where(follows, rng.random(pictures)[groups], rng.random(pictures))
    only_first = drawn < (share - loss) / 2
    only_second = ~only_first & (drawn < share)
    both = ~only_first & ~only_second & (drawn < share + TOP1 - (share + loss) / 2)
    return only_first | both, only_second | both, groups


def tango(only_first: Counts, only_second: Counts, both: Counts, neither: Counts) -> Bounds:
    pictures = int(only_first[0] + only_second[0] + both[0] + neither[0])
    found = [_tango(int(ours), int(theirs), pictures) for ours, theirs in zip(only_first, only_second, strict=True)]
    low, high = np.array(found).T
    return low, high


@cache
def _tango(only_first: int, only_second: int, pictures: int) -> tuple[float, float]:
    return compare.tango_interval(only_first, only_second, pictures)


def bonett_price(only_first: Counts, only_second: Counts, both: Counts, neither: Counts) -> Bounds:
    """Bonett and Price 2012: the plain interval with one more flip each way."""
    return _plain(only_first + 1, only_second + 1, both + neither, Z, spare=0)


def paired_t(only_first: Counts, only_second: Counts, both: Counts, neither: Counts) -> Bounds:
    pictures = only_first[0] + only_second[0] + both[0] + neither[0]
    return _plain(only_first, only_second, both + neither, t.ppf(0.975, pictures - 1), spare=1)


def _plain(only_first: Counts, only_second: Counts, same: Counts, factor: float, spare: int) -> Bounds:
    pictures = only_first + only_second + same
    difference = (only_first - only_second) / pictures
    variance = ((only_first + only_second) / pictures - difference**2) / (pictures - spare)
    half = factor * np.sqrt(variance)
    return difference - half, difference + half


def newcombe(only_first: Counts, only_second: Counts, both: Counts, neither: Counts) -> Bounds:
    """Newcombe 1998, "Improved confidence intervals for the difference ... based on paired data", method 10."""
    pictures = only_first + only_second + both + neither
    first, second = both + only_first, both + only_second
    product = np.sqrt(1.0 * first * (pictures - first) * second * (pictures - second))
    surplus = both * neither - only_first * only_second
    shrunk = np.where(surplus > 0, np.maximum(surplus - pictures / 2, 0), surplus)
    phi = np.divide(shrunk, product, out=np.zeros(len(product)), where=product > 0)
    (low1, high1), (low2, high2) = _wilson(first, pictures), _wilson(second, pictures)
    top1, top2 = first / pictures, second / pictures

    def half(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(one**2 - 2 * phi * one * other + other**2, 0))

    return top1 - top2 - half(top1 - low1, high2 - top2), top1 - top2 + half(high1 - top1, top2 - low2)


def _wilson(correct: Counts, total: Counts) -> Bounds:
    fraction, scale = correct / total, 1 + Z**2 / total
    centre = fraction + Z**2 / (2 * total)
    half = Z * np.sqrt(fraction * (1 - fraction) / total + Z**2 / (4 * total**2))
    return (centre - half) / scale, (centre + half) / scale


def _settings(shares: tuple[float, ...]) -> list[tuple[float, float]]:
    return [(share, loss) for share in shares for loss in LOSSES if loss <= share]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=MARKDOWN)
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    cli.run(main)
