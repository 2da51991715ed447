"""What a work folder keeps of features, for a person who needs the room: tables, and LiteRT's converted models."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pipeline.features.partial import ABOUT, SUFFIX
from pipeline.shell.errors import UserError


@dataclass(frozen=True)
class Kept:
    """A table, whole or half made, or a model of LiteRT's.

    Attributes:
        key: of a table what FeatureTable.key is.
        path: a table's folder, or a model's file.
        bytes: on the disk.
        about: data (name and version of the data set), split, cell and weights (digest of the backbone); a model has no
            data and no split. Empty where the file that says so is missing or damaged.
    """

    kind: Literal["table", "half a table", "engine"]
    key: str
    path: Path
    bytes: int
    about: dict[str, Any]


def tables(work_dir: str) -> list[Kept]:
    """All feature tables, in order of their keys."""
    found = []
    for folder in sorted(path for path in Path(work_dir, "features").glob("*") if path.is_dir()):
        kind: Literal["table", "half a table"] = "half a table" if folder.suffix == SUFFIX else "table"
        with suppress(FileNotFoundError):  # another process renames one that it has just made
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append(Kept(kind, folder.stem, folder, size, _about(folder / ABOUT)))
    return found


def engines(work_dir: str) -> list[Kept]:
    """All converted models, in order of their keys."""
    return [
        Kept("engine", file.stem, file, file.stat().st_size, _about(file.with_suffix(".json")))
        for file in sorted(Path(work_dir, "engines").glob("*.tflite"))
    ]


def remove(kept: Kept) -> None:
    """Removes it from the disk. Raises UserError where another process is making it."""
    lock = kept.path.with_name(f"{kept.path.name}.lock")
    if kept.kind != "engine":
        lock = lock_of(kept.path.parent, kept.about.get("pictures", kept.key))
    try:
        with FileLock(lock, blocking=False):
            if kept.kind == "engine":
                for suffix in (".tflite", ".json"):
                    kept.path.with_suffix(suffix).unlink(missing_ok=True)
            else:
                shutil.rmtree(kept.path)
    except Timeout as error:
        raise UserError(
            f"wanted to remove {kept.path}. Received: it is in use by another process. Try: again when that has ended"
        ) from error


def lock_of(folder: Path, pictures: str) -> Path:
    """The lock that is held while tables of these pictures are made.

    Args:
        folder: of the tables.
        pictures: digest of the split.
    """
    return folder / f"{pictures[:20]}.lock"


def _about(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
