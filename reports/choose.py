"""The best cell and file within what a device can bear, and the cheapest that is enough.

    python -m reports.choose --max_params 2M --max_mult_adds 300M --max_latency_ms 15 --max_bytes 4MB --min_top1 0.8

Cells are chosen by validation, files by what they lose to their cell. Why each other fell out is told,
and the command that exports the choice. Exit code 1 where nothing fits; what would fit is told then.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from pipeline.config import DEVICE_FORMATS, ChooseConfig, amount
from pipeline.device.check import milliseconds
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError
from pipeline.tracking.runs import exported

if TYPE_CHECKING:
    import pandas as pd

EXIT_NONE_FITS = 1


@dataclass(frozen=True)
class Option:
    """A cell, as Keras has it or as a file.

    Attributes:
        precision: of the file; empty where the cell was not exported.
        val_top1, test_top1: fractions; of the cell.
        lost, loss: points of top-1 that the file loses to its cell: as measured, and at most (95 %).
        size: of the file, bytes; latency_ms: of one picture in one thread. NaN where they are unknown.
    """

    cell: str
    precision: str
    run_id: str
    val_top1: float
    test_top1: float
    params: float
    mult_adds: float
    lost: float = 0.0
    loss: float = 0.0
    size: float = math.nan
    latency_ms: float = math.nan

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.cell} {self.precision or '(not exported)'}"

    @property
    def top1(self) -> float:
        """What is to be expected: of the cell in validation, less what the file was measured to lose to it."""
        return self.val_top1 - max(self.lost, 0.0) / 100

    @property
    def top1_at_least(self) -> float:
        """Of the cell in validation, less what the file loses to it at most."""
        return self.val_top1 - max(self.loss, 0.0) / 100

    @property
    def cost(self) -> tuple[float, float]:
        """What is cheaper comes first: mult-adds, then bytes."""
        return self.mult_adds, math.inf if math.isnan(self.size) else self.size


@dataclass(frozen=True)
class Limit:
    """One of the flags: the option's `measure` must not be above `bound`, or not below it."""

    flag: str
    measure: str
    bound: float
    is_least: bool = False

    def holds(self, option: Option) -> bool:
        """Whether the option is known to be within."""
        value = getattr(option, self.measure)
        return value >= self.bound if self.is_least else value <= self.bound

    def excess(self, option: Option) -> float:
        """By which part of itself the bound is missed; above 0 where it is."""
        value = getattr(option, self.measure)
        return (self.bound - value if self.is_least else value - self.bound) / self.bound

    def spelled(self, value: float) -> str:
        """As it is typed, rounded to the side on which it fits."""
        if self.is_least:
            return f"{math.floor(1e3 * value) / 1e3:.3f}"
        if self.measure == "latency_ms":
            return f"{math.ceil(10 * value) / 10:.1f}"
        return f"{math.ceil(value / 1e4) / 100:.2f}M"


@dataclass(frozen=True)
class Choice:
    """What came of it.

    Attributes:
        best, enough: None where nothing fits, or nothing cheaper than the best is enough.
        out: each other option, and why.
    """

    best: Option | None
    enough: Option | None
    out: tuple[tuple[Option, str], ...]


def limits(config: ChooseConfig) -> list[Limit]:
    """Those that were set."""
    found = [
        Limit("--max_params", "params", amount(config.max_params, "max_params")),
        Limit("--max_mult_adds", "mult_adds", amount(config.max_mult_adds, "max_mult_adds")),
        Limit("--max_bytes", "size", amount(config.max_bytes, "max_bytes")),
        Limit("--max_latency_ms", "latency_ms", config.max_latency_ms or math.inf),
        Limit("--min_top1", "top1_at_least", config.min_top1 or -math.inf, is_least=True),
    ]
    return [one for one in found if math.isfinite(one.bound)]


def choose(
    options: Sequence[Option], budget: Sequence[Limit], losses: Mapping[tuple[str, str], float], margin: float
) -> Choice:
    """The best by validation, less what a file loses, of equal ones the cheapest; and the cheapest that is enough.

    Args:
        losses: (cell, other cell) -> points of top-1 that the first loses to the other on validation at most, at
            97.5 %, one-sided; pairs that were not compared are missing.
        margin: points that what is enough may lose to the best at most: as a cell and as a file, together.
    """
    inside = [one for one in options if all(limit.holds(one) for limit in budget)]
    best = max(inside, key=lambda one: (one.top1, [-part for part in one.cost]), default=None)
    enough: Option | None = None
    if best is not None:

        def loss(one: Option) -> float:
            """To the best, at most."""
            by_cell = 0.0 if one.cell == best.cell else losses.get((one.cell, best.cell), math.inf)
            return by_cell + one.loss

        cheaper = [one for one in inside if one.cost < best.cost and loss(one) < margin]
        enough = min(cheaper, key=lambda one: one.cost, default=None)
    out = [(one, _why(one, budget, best, margin)) for one in options if one not in (best, enough)]
    return Choice(best, enough, tuple(out))


def nearest(options: Iterable[Option], budget: Sequence[Limit]) -> tuple[Option, str] | None:
    """Where nothing fits: the option that breaks the fewest limits, by the least; and the flags that it wants.

    An option of which a measure is unknown is none; None where there is no other.
    """
    known = [one for one in options if not any(math.isnan(getattr(one, limit.measure)) for limit in budget)]
    if not known:
        return None
    broken = {one: [limit for limit in budget if not limit.holds(one)] for one in known}
    chosen = min(known, key=lambda one: (len(broken[one]), max(limit.excess(one) for limit in broken[one]), one.cost))
    flags = [f"{limit.flag} {limit.spelled(getattr(chosen, limit.measure))}" for limit in broken[chosen]]
    return chosen, " ".join(flags)


def _why(option: Option, budget: Sequence[Limit], best: Option | None, margin: float) -> str:
    reasons = []
    for limit in budget:
        value = getattr(option, limit.measure)
        if math.isnan(value):
            reasons.append(f"not exported, so {limit.flag} cannot be told")
        elif not limit.holds(option):
            side = "below" if limit.is_least else "above"
            reasons.append(f"{limit.spelled(value)} is {side} {limit.flag}")
    if reasons:
        return "; ".join(reasons)
    if best is not None and option.cost < best.cost:
        return f"not shown to lose less than {margin:g} point{'' if margin == 1 else 's'}"
    return "within, but no better than the choice and no cheaper"


def options_of(cells: pd.DataFrame, metrics: Mapping[str, Mapping[str, float]]) -> list[Option]:
    """One for each file of each tested cell, or for the cell where it was not exported.

    Args:
        cells: reports.tables' frame.
        metrics: run id -> what the cell's run says.
    """
    found = []
    for cell in cells[cells["test_top1"].notna()].to_dict("records"):
        told = metrics[cell["run_id"]]
        known: dict[str, Any] = {
            **{name: cell[name] for name in ("cell", "run_id", "val_top1", "test_top1", "mult_adds")},
            "params": cell["params_total"],
        }
        files: list[dict[str, Any]] = [
            {
                **{"precision": name, "size": told[f"{name}_bytes"]},
                **{"lost": told[f"{name}_loss_points"], "loss": told[f"{name}_loss_points_high"]},
                "latency_ms": told.get(f"{name}_p50_ms_1_thread", math.nan),
            }
            for name in DEVICE_FORMATS
            if told.get(exported(name))
        ]
        found += [Option(**known, **file) for file in files or [{"precision": ""}]]
    return found


def losses_of(pairs: pd.DataFrame) -> dict[tuple[str, str], float]:
    """(cell, other) -> points that the first may lose to the other on validation, of every pair, both ways."""
    found: dict[tuple[str, str], float] = {}
    for row in pairs[pairs["split"] == "val"].to_dict("records"):
        found[row["first"], row["second"]] = -100 * row["low"]
        found[row["second"], row["first"]] = 100 * row["high"]
    return found


def show(choice: Choice) -> None:
    """A table of what fell out, the choice, and the command that exports it."""
    if choice.out:
        table = Table("fell out", "because")
        for option, why in choice.out:
            table.add_row(option.name, why)
        progress.show(table)
    for title, one in (("Best within the budget", choice.best), ("Enough, and cheaper", choice.enough)):
        if one is not None:
            print(f"{title}: {one.name}, {_told(one)}")
    taken = choice.enough or choice.best
    if taken is not None:
        only = f" --formats {taken.precision}" if taken.precision else ""
        print(f"Export it: python -m pipeline.export --run_id {taken.run_id}{only}")


def _told(option: Option) -> str:
    parts = [
        f"val {100 * option.val_top1:.1f} %, test {100 * option.test_top1:.1f} %",
        f"{option.params / 1e6:.2f} M parameters, {option.mult_adds / 1e6:,.1f} M mult-adds",
    ]
    parts += [f"the file loses at most {option.loss:.1f} points"] if option.precision else []
    parts += [] if math.isnan(option.size) else [f"{option.size / 1e6:.2f} MB"]
    parts += [] if math.isnan(option.latency_ms) else [f"{milliseconds(option.latency_ms)} ms where it was checked"]
    return ", ".join(parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Chooses among the cells of a sweep."""
    config = cli.parse(ChooseConfig, argv)
    from pipeline import tracking
    from reports import tables

    tracker = tracking.connect(config.experiment, make=False)
    found = tables.read(tracker, tables.choose(tracker, config.runs), curve_trials=1, margin=config.margin)
    options = options_of(found.cells, {run_id: tracker.metrics(run_id) for run_id in found.cells["run_id"]})
    if not options:
        raise UserError("wanted a sweep with a tested cell. Received: none. Try: python tuning/optimize.py")
    budget = limits(config)
    choice = choose(options, budget, losses_of(found.pairs), config.margin)
    show(choice)
    if choice.best is None:
        near = nearest(options, budget)
        print("Nothing fits." + (f" {near[0].name} would, with {near[1]}" if near else ""))
        sys.exit(EXIT_NONE_FITS)


if __name__ == "__main__":
    cli.run(main)
