"""The published numbers that ours are compared with; published.csv is the only place that holds them."""

from __future__ import annotations

import csv
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.config import Cell, spell
from pipeline.shell.errors import UserError

PUBLISHED = Path(__file__).with_name("published.csv")

Source = Literal["paper", "replication"]


@dataclass(frozen=True)
class Published:
    """One published row; None is what the source does not say."""

    model: str  # the cell's name, or "inception_v3"
    backbone: str
    alpha: float | None
    resolution: int | None  # px
    source: Source
    dataset: str
    top1: float  # fraction of the test pictures
    mult_adds: int | None
    params_total: int | None
    head: str
    protocol: str
    reference: str

    @property
    def name(self) -> str:
        return f"{self.source} {self.model}"

    @property
    def cell(self) -> Cell | None:
        """The MobileNet cell that the row is about; None for other backbones."""
        if self.backbone != "mobilenet" or self.alpha is None or self.resolution is None:
            return None
        return Cell(self.alpha, self.resolution)

    def is_about(self, cell: Cell) -> bool:
        """Whether `cell` is what was measured; a row without multipliers is about its whole backbone."""
        return (
            self.backbone == cell.backbone
            and self.alpha in (None, cell.alpha)
            and self.resolution in (None, cell.resolution)
        )

    def params(self) -> dict[str, str]:
        """For MLflow, under the names that our own runs use."""
        known = {"dataset": self.dataset, "backbone": self.backbone, "alpha": self.alpha, "resolution": self.resolution}
        return {name: spell(value) for name, value in known.items() if value is not None}

    def metrics(self) -> dict[str, float]:
        """For MLflow: a fraction and absolute counts, of what is known."""
        known = {"test_top1": self.top1, "params_total": self.params_total, "mult_adds": self.mult_adds}
        return {name: float(value) for name, value in known.items() if value is not None}

    def tags(self) -> dict[str, str]:
        return {"source": self.source, "head": self.head, "protocol": self.protocol, "reference": self.reference}

    def as_run(self) -> dict[str, Any]:
        """What one MLflow run says: name, source, params, metrics and tags."""
        return {
            "name": self.name,
            "source": self.source,
            "params": self.params(),
            "metrics": self.metrics(),
            "tags": self.tags(),
        }


def load_published(path: Path = PUBLISHED) -> tuple[Published, ...]:
    """All rows, in the file's order. Raises UserError where the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = tuple(_parse(row) for row in csv.DictReader(file, strict=True))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not rows:
        raise _damaged(path, "no rows")
    if len({(row.name, row.dataset) for row in rows}) < len(rows):
        raise _damaged(path, "a model that is listed twice for one source and data set")
    return rows


def find_published(cell: Cell, dataset: str, source: Source) -> Published | None:
    """The row of `source` for this cell on this data set, if there is one."""
    rows = (row for row in load_published() if row.is_about(cell) and row.dataset == dataset and row.source == source)
    return next(rows, None)


def _parse(row: Mapping[str, str]) -> Published:
    if row["source"] not in typing.get_args(Source):
        raise ValueError(f"source {row['source']!r} is none of {', '.join(typing.get_args(Source))}")
    if not 0 <= float(row["top1_pct"]) <= 100:
        raise ValueError(f"top1_pct {row['top1_pct']} is not between 0 and 100")
    return Published(
        model=row["model"],
        backbone=row["backbone"],
        alpha=float(row["alpha"]) if row["alpha"] else None,
        resolution=int(row["resolution"]) if row["resolution"] else None,
        source=typing.cast(Source, row["source"]),
        dataset=row["dataset"],
        top1=float(row["top1_pct"]) / 100,
        mult_adds=_millions(row["mult_adds_m"]),
        params_total=_millions(row["params_m"]),
        head=row["head"],
        protocol=row["protocol"],
        reference=row["reference"],
    )


def _millions(text: str) -> int | None:
    """ "3.3" -> 3300000, "" -> None."""
    return round(float(text) * 1_000_000) if text else None


def _damaged(path: Path, received: str) -> UserError:
    return UserError(
        f"wanted the table of published numbers in {path}. Received: {received}. "
        f"Try: `git checkout pipeline/scoring/{path.name}`, or install alpharho again."
    )


def imagenet_note(dataset: str, weights: str) -> str:
    """What must be said beside a score on `dataset` with `weights`, or an empty string."""
    if dataset != "stanford_dogs" or weights in ("none", "tiny"):
        return ""
    return "ImageNet's training set contains the Stanford Dogs pictures: ImageNet weights have seen the test pictures."
