"""How answers are printed: a table for people, JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from rich.table import Table

from pipeline.config import Shown
from pipeline.datasets.layouts import printable
from pipeline.device.running import top
from pipeline.shell import progress

NONE = "none of these"  # for people; programs are told by null, or by an empty field


class Teller(Protocol):
    """Prints answers, one after the other."""

    def one(self, path: Path, probabilities: np.ndarray) -> None:
        """What the model says of a picture: float32 (classes,)."""

    def end(self) -> None:
        """There are no more."""


def teller(shown: Shown, class_names: tuple[str, ...], count: int, reject_below: float) -> Teller:
    """To standard output, as that is now: a bar that is shown later takes its place.

    Args:
        count: classes of each picture, the likeliest first.
        reject_below: the probability below which the answer is none of them.
    """
    kinds: dict[Shown, type[_Table | _Lines | _Csv]] = {"table": _Table, "jsonl": _Lines, "csv": _Csv}
    return kinds[shown](class_names, min(count, len(class_names)), reject_below)


def as_json(probabilities: np.ndarray, names: Sequence[str], count: int, reject_below: float) -> dict[str, Any]:
    """For programs: answer (None for none of these), and top, the `count` likeliest classes."""
    numbers = top(probabilities, count)
    likeliest = [{"class": names[at], "probability": round(float(probabilities[at]), 6)} for at in numbers]
    is_one = probabilities[numbers[0]] >= reject_below
    return {"answer": names[numbers[0]] if is_one else None, "top": likeliest}


class _Told:
    """What the tellers have in common."""

    def __init__(self, class_names: tuple[str, ...], count: int, reject_below: float) -> None:
        self.names, self.count, self.reject_below = class_names, count, reject_below
        self.out: TextIO = sys.stdout

    def ranked(self, probabilities: np.ndarray) -> list[tuple[str, float]]:
        """The likeliest classes, with what they have."""
        return [(self.names[index], float(probabilities[index])) for index in top(probabilities, self.count)]

    def answer(self, ranked: list[tuple[str, float]]) -> str | None:
        """The likeliest, or None for "none of these"."""
        name, probability = ranked[0]
        return name if probability >= self.reject_below else None

    def end(self) -> None:
        """Nothing is left to print."""


class _Lines(_Told):
    def one(self, path: Path, probabilities: np.ndarray) -> None:
        """A line: picture, answer (null: none of these), top."""
        told = as_json(probabilities, self.names, self.count, self.reject_below)
        print(json.dumps({"picture": str(path), **told}), file=self.out, flush=True)


class _Csv(_Told):
    def __init__(self, class_names: tuple[str, ...], count: int, reject_below: float) -> None:
        super().__init__(class_names, count, reject_below)
        self._writer = csv.writer(self.out, lineterminator="\n")
        ranks = [f"{name}_{rank}" for rank in range(1, self.count + 1) for name in ("class", "probability")]
        self._writer.writerow(["picture", "answer", *ranks])

    def one(self, path: Path, probabilities: np.ndarray) -> None:
        """A row; the answer is empty for "none of these"."""
        ranked = self.ranked(probabilities)
        cells = [cell for name, probability in ranked for cell in (printable(name), f"{probability:.6f}")]
        answer = self.answer(ranked)
        self._writer.writerow([printable(str(path)), "" if answer is None else printable(answer), *cells])
        self.out.flush()


class _Table(_Told):
    def __init__(self, class_names: tuple[str, ...], count: int, reject_below: float) -> None:
        super().__init__(class_names, count, reject_below)
        self._table = Table(show_lines=True)
        for name in ("picture", "answer", "likeliest", "%"):  # folded, or the end of a path would be lost
            self._table.add_column(name, justify="right" if name == "%" else "left", overflow="fold")

    def one(self, path: Path, probabilities: np.ndarray) -> None:
        """A row of so many lines as there are classes."""
        ranked = self.ranked(probabilities)
        answer, names = self.answer(ranked), "\n".join(printable(name) for name, _probability in ranked)
        shares = "\n".join(f"{100 * probability:.1f}" for _name, probability in ranked)
        self._table.add_row(printable(str(path)), NONE if answer is None else printable(answer), names, shares)

    def end(self) -> None:
        """All at once, so that the columns fit."""
        if self._table.row_count:
            progress.show(self._table)
