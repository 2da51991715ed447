"""The feature table: what a frozen backbone makes of each picture, computed once and kept on disk.

A table is a folder `work/features/<key>/` with `features.npy` (float32 (n, d)) and `table.json`. The key is a hash of
everything that shapes the numbers, so a changed picture, weight or preprocessing step finds no old table. While it is
made it is in `<key>.part` beside, chunk by chunk, so that a process that was killed goes on there; then it is renamed.
Its own hash is checked whenever it is read. Rows that other tables have of the same pictures are taken from there.

The features are computed by a task, extract.features_of, wherever that runs; tables are written here alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from pipeline.config import EngineName, Precision, Views
from pipeline.datasets import Split, decoding
from pipeline.features import reuse
from pipeline.features.extract import Made, Wanted, features_of
from pipeline.features.kept import lock_of, tables
from pipeline.features.partial import ABOUT, JOURNAL, SUFFIX, Partial, hash_of
from pipeline.features.reuse import Filled, Known
from pipeline.networks.backbones import Backbone, preprocessing
from pipeline.shell import progress

CELLS_AT_ONCE = 4  # whose tables one pass makes: their backbones are in memory together

Run = Callable[..., Any]
"""run(task, *args, **kwargs) calls the task somewhere, and returns its result."""


def here(task: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls the task in this process."""
    return task(*args, **kwargs)


@dataclass(frozen=True)
class FeatureTable:
    """Features of every picture of one split.

    Attributes:
        key: the name of its folder.
        features: float32 (n, d), memory-mapped, read-only, in the order of the split.
        pictures_per_second: from encoded picture to features, measured when this table was made, with those of other
            cells where one pass made several.
        mirrored: the table of the mirror images, where they were asked for.
    """

    key: str
    features: np.ndarray
    pictures_per_second: float
    mirrored: FeatureTable | None = None


class Left(NamedTuple):
    """Rows of a table that are still to be made."""

    computed: int
    copied: int


def load_table(
    split: Split,
    source: str,
    backbone: Backbone,
    work_dir: str,
    engine: EngineName = "auto",
    beside: Iterable[Backbone] = (),
    views: Views = "none",
    precision: Precision = "float32",
    run: Run = here,
) -> FeatureTable:
    """Reads the table of `split` under `backbone`, or makes it.

    The mirror images have a table of their own, made in the same pass where both are missing.

    Args:
        source: name and version of the data set, for people; equal pictures of two data sets share a table.
        beside: where the table must be made, those of these backbones that are missing, too, are made in the same
            pass, up to CELLS_AT_ONCE in all: each picture is decoded once. Gone through only then.
        precision: that the convolutions compute in; another one makes another table.
        run: where the features are computed.

    Raises:
        UserError: a picture cannot be decoded (it is named), or the features are not finite.
    """
    entries = _Entry.all(split, source, backbone, work_dir, views, precision)
    there = [entry.read() for entry in entries]
    if None in there:
        with _alone(split, work_dir):
            missing = [entry for entry in entries if not entry.read()]  # by now another process may have made them
            for other in beside if missing else ():
                if len({id(entry.backbone) for entry in missing}) == CELLS_AT_ONCE:
                    break
                seen = {one.folder for one in missing}
                found = _Entry.all(split, source, other, work_dir, views, precision)
                missing += [one for one in found if one.folder not in seen and not one.folder.exists()]
            if missing:
                _make(missing, split, engine, work_dir, precision, run)
    plain, *mirrored = [table or entry.read_whole() for entry, table in zip(entries, there, strict=True)]
    return dataclasses.replace(plain, mirrored=mirrored[0]) if mirrored else plain


def rows_left(
    split: Split,
    source: str,
    backbone: Backbone,
    work_dir: str,
    views: Views = "none",
    precision: Precision = "float32",
) -> Left:
    """How many rows `load_table` would still compute, of both views, if nobody else were at it, and how many it would
    copy from earlier tables; of no table the features are read.
    """
    entries = _Entry.all(split, source, backbone, work_dir, views, precision)
    computed, copied = zip(*(entry.rows_left(work_dir) for entry in entries), strict=True)
    return Left(sum(computed), sum(copied))


def has_table(name: str, source: str, backbone: Backbone, work_dir: str) -> bool:
    """Whether there is a table of the split called `name`, told without reading that split's pictures.

    By the data set's name, so one that equal pictures of another name have is not seen.
    """
    wanted = {"data": source, "split": name, "cell": backbone.cell.name, "weights": backbone.digest}
    return any(kept.kind == "table" and wanted.items() <= kept.about.items() for kept in tables(work_dir))


@dataclass(frozen=True)
class _Entry:
    """A table that is there or is to be made.

    Attributes:
        about: what table.json says of it.
    """

    folder: Path
    about: dict[str, str]
    hashes: np.ndarray
    backbone: Backbone
    mirrored: bool

    @staticmethod
    def all(
        split: Split, source: str, backbone: Backbone, work_dir: str, views: Views, precision: Precision
    ) -> list[_Entry]:
        """That of the pictures, and that of their mirror images where `views` says so."""
        sides = (False, True) if views == "flip" else (False,)
        return [_Entry.of(split, source, backbone, work_dir, precision, mirrored) for mirrored in sides]

    @staticmethod
    def of(
        split: Split, source: str, backbone: Backbone, work_dir: str, precision: Precision, mirrored: bool
    ) -> _Entry:
        """By a key of all that shapes the numbers; the data set's name is none of it."""
        shaped_by = {
            "split": split.name,
            "pictures": split.digest,
            "cell": backbone.cell.name,
            "weights": backbone.digest,
            "decoder": decoding.VERSION,
            "preprocessing": preprocessing(backbone.cell),
            **({"view": "mirrored"} if mirrored else {}),
            **({"precision": precision} if precision != "float32" else {}),
        }
        key = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:20]
        return _Entry(Path(work_dir, "features", key), {"data": source, **shaped_by}, split.hashes, backbone, mirrored)

    @property
    def rows(self) -> int:
        """One for each picture."""
        return len(self.hashes)

    def rows_left(self, work_dir: str) -> tuple[int, int]:
        """Of those behind the last whole chunk: how many are to be computed, and how many other tables have."""
        if self.folder.exists():
            return 0, 0
        done = 0
        with contextlib.suppress(OSError, ValueError, KeyError):  # none yet, or half a line as left by a kill
            for line in (self.folder.with_name(f"{self.folder.name}{SUFFIX}") / JOURNAL).read_text().splitlines():
                done += json.loads(line)["rows"]
        copied = int(reuse.told(work_dir, self.about, self.hashes)[done:].sum())
        return self.rows - done - copied, copied

    def read(self) -> FeatureTable | None:
        """None where it is missing or damaged."""
        try:
            return self.read_whole()
        except (OSError, ValueError, KeyError):
            return None

    def read_whole(self) -> FeatureTable:
        """Raises ValueError, KeyError or OSError where the table is not whole."""
        about = json.loads((self.folder / ABOUT).read_text())
        if hash_of(self.folder / "features.npy") != about["sha256"]:
            raise ValueError("its hash does not match")
        features = np.load(self.folder / "features.npy", mmap_mode="r")
        if len(features) != self.rows:
            raise ValueError(f"{len(features)} rows for {self.rows} pictures")
        with contextlib.suppress(OSError):  # not there, which a disk that is read-only tells by an error of its own
            (self.folder / JOURNAL).unlink()  # left by a process that died when all was done
        return FeatureTable(self.folder.name, features, about["pictures_per_second"])


@contextlib.contextmanager
def _alone(split: Split, work_dir: str) -> Iterator[None]:
    """In the block no other process makes tables of these pictures; `pipeline.train` may run beside a sweep."""
    folder = Path(work_dir, "features")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_of(folder, split.digest))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.note(f"waiting for another process that makes features of the {split.name} pictures in {work_dir}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(
    entries: list[_Entry], split: Split, engine: EngineName, work_dir: str, precision: Precision, run: Run
) -> None:
    """In one pass over the pictures that one of the tables has no features of, neither here nor in an earlier table."""
    with contextlib.ExitStack() as files:
        known = [reuse.known(work_dir, entry.about, entry.hashes) for entry in entries]
        filled = []
        for entry, rows in zip(entries, known, strict=True):
            if entry.folder.exists():
                progress.note(f"feature table {entry.folder.name} is damaged; making it again")
            shape = (entry.rows, entry.backbone.model.output_shape[-1])
            filled.append(Filled(files.enter_context(Partial(entry.folder, shape, entry.about, entry.hashes)), rows))
        _tell_known(entries, known, split)
        if todo := [(entry, one) for entry, one in zip(entries, filled, strict=True) if one.lacks.any()]:
            total = int(np.any([one.lacks for one in known], axis=0).sum())
            with progress.bar(_title(split, entries), total=total, unit="img", late=True) as advance:
                lacked = np.flatnonzero(np.any([one.lacks for _, one in todo], axis=0))
                receive = _Receiver([one for _, one in todo], lacked, total - len(lacked), advance)
                wanted = [Wanted(entry.backbone, entry.mirrored, one.lacks[lacked]) for entry, one in todo]
                bare = dataclasses.replace(split, thumbnails=None, sizes=None)  # which a task has no use for
                some = bare if len(lacked) == len(split) else bare.subset(lacked)
                run(features_of, some, wanted, engine, work_dir, precision, tell=receive)
        for one in filled:
            one.finish()


def _tell_known(entries: list[_Entry], known: list[Known], split: Split) -> None:
    """One line, where there is anything to tell."""
    told = [(entry, rows.lacks) for entry, rows in zip(entries, known, strict=True) if not rows.lacks.all()]
    if told:
        new = int(np.any([lacks for _, lacks in told], axis=0).sum())
        progress.note(
            f"{_title(split, [entry for entry, _ in told])}: {len(split) - new:,} of {len(split):,} pictures are known "
            f"from earlier tables, {new:,} are new"
        )


def _title(split: Split, entries: list[_Entry]) -> str:
    cells = list(dict.fromkeys(entry.backbone.cell.name for entry in entries))
    return f"features {split.name} {cells[0] if len(cells) == 1 else f'of {len(cells)} cells'}"


class _Receiver:
    """Files what a pass tells of, and moves the bar; pictures that it has been told of before count for nothing.

    Args:
        rows: int (m,), where the pictures of the pass are in the split.
        done: pictures that the bar counts, and an earlier start has passed.
    """

    def __init__(self, filled: list[Filled], rows: np.ndarray, done: int, advance: Callable[[int], None]) -> None:
        self._filled, self._rows, self._advance = filled, rows, advance
        self._before, self._passed, self._is_ready = done, 0, False

    def __call__(self, made: Made) -> None:
        """The next features."""
        if not self._is_ready:
            self._advance(self._before)
            self._is_ready = True
        end = made.begin + made.count
        rows = self._rows[made.begin : end]
        for one, features, engine in zip(self._filled, made.features, made.engines, strict=True):
            if features is not None:
                mine = rows[one.lacks[rows]]
                one.add(mine, features, engine, made.seconds * len(mine) / made.count)
        self._advance(max(0, end - self._passed))
        self._passed = max(self._passed, end)
