"""The feature table: what a frozen backbone makes of each picture, computed once and kept on disk.

A table is a folder `work/features/<key>/` with `features.npy` (float32 (n, d)) and `table.json`. The key is a hash of
everything that shapes the numbers, so a changed picture, weight or preprocessing step finds no old table. While it is
made it lies beside, in `<key>.part`, chunk by chunk, so that who is killed goes on there; then it is renamed. Its own
hash is checked whenever it is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from pipeline.config import EngineName, Precision, Views
from pipeline.datasets import Split
from pipeline.features.extract import Wanted, extract
from pipeline.features.partial import JOURNAL, Partial, hash_of
from pipeline.networks.backbones import Backbone, preprocessing
from pipeline.shell import progress
from pipeline.shell.errors import UserError

CELLS_AT_ONCE = 4  # whose tables one pass makes: their backbones lie in memory together


@dataclass(frozen=True)
class FeatureTable:
    """Features of every picture of one split.

    Attributes:
        features: float32 (n, d), memory-mapped, read-only, in the order of the split.
        mirrored: the same of the mirror images, where they were asked for.
        pictures_per_second: from encoded picture to features, measured when this table was made, with those of other
            cells where one pass made several.
    """

    features: np.ndarray
    pictures_per_second: float
    mirrored: np.ndarray | None = None


def load_table(
    split: Split,
    source: str,
    backbone: Backbone,
    work_dir: str,
    engine: EngineName = "auto",
    beside: Iterable[Backbone] = (),
    views: Views = "none",
    precision: Precision = "float32",
) -> FeatureTable:
    """Reads the table of `split` under `backbone`, or makes it; one process makes it while others wait.

    The mirror images have a table of their own, made in the same pass where both are missing.

    Args:
        source: name and version of the data set.
        beside: where the table must be made, those of these backbones that are missing, too, are made in the same
            pass, up to CELLS_AT_ONCE in all: each picture is decoded once. Gone through only then.
        precision: that the convolutions compute in; another one makes another table.

    Raises:
        UserError: a picture cannot be decoded (it is named), or the features are not finite.
    """
    places = _Place.all(split, source, backbone, work_dir, views, precision)
    with contextlib.ExitStack() as locks:
        for place in places:
            locks.enter_context(place.lock)
        tables = [place.read() for place in places]
        missing = [place for place, table in zip(places, tables, strict=True) if table is None]
        if missing:
            for other in beside:
                if len({id(place.backbone) for place in missing}) == CELLS_AT_ONCE:
                    break
                for place in _Place.all(split, source, other, work_dir, views, precision):
                    _join(missing, place, locks)
            _make(missing, split, engine, work_dir, precision)
        plain, *mirrored = [table or place.read_whole() for place, table in zip(places, tables, strict=True)]
    return dataclasses.replace(plain, mirrored=mirrored[0].features) if mirrored else plain


def rows_left(
    split: Split,
    source: str,
    backbone: Backbone,
    work_dir: str,
    views: Views = "none",
    precision: Precision = "float32",
) -> int:
    """How many rows `load` would still make, of both views, if nobody else were at it; no hash is checked."""
    return sum(place.rows_left() for place in _Place.all(split, source, backbone, work_dir, views, precision))


def has_table(name: str, source: str, backbone: Backbone, work_dir: str) -> bool:
    """Whether there is a table of the split called `name`, told without reading that split's pictures."""
    wanted = {"data": source, "split": name, "cell": backbone.cell.name, "weights": backbone.digest}
    for path in Path(work_dir, "features").glob("*/table.json"):
        with contextlib.suppress(OSError, ValueError):  # damaged, or being renamed by who made it
            if wanted.items() <= json.loads(path.read_text()).items():
                return True
    return False


@dataclass(frozen=True)
class _Place:
    """Where a table lies, or is to lie."""

    folder: Path
    shaped_by: dict[str, str]
    rows: int
    backbone: Backbone
    mirrored: bool

    @staticmethod
    def all(
        split: Split, source: str, backbone: Backbone, work_dir: str, views: Views, precision: Precision
    ) -> list[_Place]:
        """That of the pictures, and that of their mirror images where `views` says so."""
        sides = (False, True) if views == "flip" else (False,)
        return [_Place.of(split, source, backbone, work_dir, precision, mirrored) for mirrored in sides]

    @staticmethod
    def of(
        split: Split, source: str, backbone: Backbone, work_dir: str, precision: Precision, mirrored: bool
    ) -> _Place:
        """Where exactly this table belongs: any change of what shapes its numbers leads elsewhere."""
        shaped_by = {
            "data": source,
            "split": split.name,
            "pictures": split.digest,
            "cell": backbone.cell.name,
            "weights": backbone.digest,
            "preprocessing": preprocessing(backbone.cell),
            **({"view": "mirrored"} if mirrored else {}),
            **({"precision": precision} if precision != "float32" else {}),
        }
        key = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:20]
        folder = Path(work_dir, "features", key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return _Place(folder, shaped_by, len(split), backbone, mirrored)

    @property
    def lock(self) -> FileLock:
        return FileLock(f"{self.folder}.lock")

    def rows_left(self) -> int:
        """Those behind the last whole chunk."""
        if self.folder.exists():
            return 0
        rows = self.rows
        with contextlib.suppress(OSError, ValueError, KeyError):  # none yet, or half a line as left by a kill
            for line in (self.folder.with_name(f"{self.folder.name}.part") / JOURNAL).read_text().splitlines():
                rows -= json.loads(line)["rows"]
        return rows

    def read(self) -> FeatureTable | None:
        """None where it is missing or damaged."""
        if not self.folder.exists():
            return None
        try:
            return self.read_whole()
        except (OSError, ValueError, KeyError) as error:
            progress.note(f"feature table {self.folder.name} is damaged ({error}); making it again")
            return None

    def read_whole(self) -> FeatureTable:
        """Raises ValueError, KeyError or OSError where the table is not whole."""
        about = json.loads((self.folder / "table.json").read_text())
        if hash_of(self.folder / "features.npy") != about["sha256"]:
            raise ValueError("its hash does not match")
        features = np.load(self.folder / "features.npy", mmap_mode="r")
        if len(features) != self.rows:
            raise ValueError(f"{len(features)} rows for {self.rows} pictures")
        (self.folder / JOURNAL).unlink(missing_ok=True)  # left by who died when all was done
        return FeatureTable(features, about["pictures_per_second"])


def _join(places: list[_Place], other: _Place, locks: contextlib.ExitStack) -> None:
    """Adds a table that is missing and that no other process is at: none waits here, so none waits for each other."""
    if other.folder in {place.folder for place in places}:
        return
    lock = other.lock
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return
    locks.callback(lock.release)
    if not other.folder.exists():
        places.append(other)


def _make(places: list[_Place], split: Split, engine: EngineName, work_dir: str, precision: Precision) -> None:
    with contextlib.ExitStack() as files:
        partials = []
        for place in places:
            shape = (place.rows, place.backbone.model.output_shape[-1])
            partials.append(files.enter_context(Partial(place.folder, shape, place.shaped_by)))
        wanted = [Wanted(place.backbone, one, place.mirrored) for place, one in zip(places, partials, strict=True)]
        try:
            extract(split, wanted, engine, work_dir, precision)
        except UserError:  # of these pictures or weights nothing will ever come
            for partial in partials:
                partial.discard()
            raise
        for partial in partials:
            partial.finish()
