"""Which pictures are asked about, and what a model says of each; without TensorFlow with a file, but for Keras'."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.datasets import decoding, layouts
from pipeline.datasets.layouts import printable
from pipeline.device import contract, running
from pipeline.shell.errors import UserError, first_line

if TYPE_CHECKING:
    import keras

STANDARD_INPUT = "-"
LARGEST = 2**28  # bytes of a picture file; phones make some ten megabytes


@dataclass(frozen=True)
class Asked:
    """A model that answers.

    Attributes:
        class_names: of its outputs, in order.
        reject_below: the probability below which "none of these" is the answer.
        answer: encoded picture -> probabilities, float32 (classes,). Raises ValueError, in one line, where it is no
            whole picture.
        threads: that may call it at once, and should.
    """

    class_names: tuple[str, ...]
    reject_below: float
    answer: Callable[[bytes], np.ndarray]
    threads: int = 1

    def rejecting(self, below: float | Literal["auto"]) -> Asked:
        """The same with another threshold; auto is its own."""
        return self if below == "auto" else replace(self, reject_below=below)


def of_file(path: str) -> Asked:
    """A file of pipeline.export. Raises UserError where it is none, or not whole."""
    runner = running.Runner(contract.read(path))
    about = runner.file.contract
    return Asked(about.class_names, about.reject_below, lambda encoded: runner(runner.shown(encoded)), runner.lanes)


def of_keras(model: keras.Model, class_names: Sequence[str], reject_below: float) -> Asked:
    """A model that takes raw pictures, as backbones.with_head makes it."""

    def answer(encoded: bytes) -> np.ndarray:
        """One at a time, each of a size of its own."""
        return model(decoding.read(encoded)[None], training=False).numpy()[0]

    return Asked(tuple(class_names), reject_below, answer)


def answers(asked: Asked, paths: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray | str]]:
    """What it says of each file, in order: probabilities, or in one line why the picture cannot be read."""
    told = running.ahead(partial(_answer, asked), paths, asked.threads)
    for path, future in zip(paths, told, strict=True):
        yield path, future.result()


def _answer(asked: Asked, path: Path) -> np.ndarray | str:
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            return "no file"
        if path.stat().st_size > LARGEST:
            return f"larger than {LARGEST // 2**20} MiB"
        return asked.answer(path.read_bytes())
    except OSError as error:
        return error.strerror or first_line(error)
    except (ValueError, MemoryError) as error:
        return first_line(error)


def files(given: Iterable[str], listed: Iterable[str]) -> list[Path]:
    """The files that a person names, each once, in order.

    Args:
        given: files, folders, patterns, or STANDARD_INPUT; a file that is not there is taken all the same.
        listed: what stands on standard input, a path a line.

    Raises UserError where a folder or a pattern finds no picture, or nothing is listed.
    """
    found: dict[Path, None] = {}
    for name in given:
        if name == STANDARD_INPUT:
            text = "".join(listed)
            # find -print0 ends each path by a zero, since a name may hold the end of a line.
            lines = text.split("\0") if text.endswith("\0") else re.split(r"\r?\n", text)
            paths = [Path(line) for line in lines if line.strip()]
            _require(bool(paths), "paths on standard input, one a line", "none")
            _require(not any("\0" in line for line in lines), "paths on standard input, one a line", "a file's content")
        else:
            paths = _named(name)
        found |= dict.fromkeys(paths)
    return list(found)


def _named(name: str) -> list[Path]:
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):  # Path's own raises where a name is too long
        inside = [one for one in layouts.walk(path) if _is_picture(one)]
        _require(bool(inside), "a folder with pictures", f"{printable(name)}, which holds none")
        return inside
    if os.path.exists(path) or not glob.has_magic(name):
        return [path]
    matching = [one for one in sorted(map(Path, glob.glob(str(path), recursive=True))) if one.is_file()]
    _require(bool(matching), "a pattern that finds files", printable(name))
    return matching


def _require(holds: bool, wanted: str, received: str) -> None:
    if not holds:
        raise UserError(f"wanted {wanted}. Received: {received}. Try: name pictures, or a folder that holds some")


def _is_picture(path: Path) -> bool:
    """By its content, or by an ending that promises one, so that a damaged one is named."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as opened:
            return bool(decoding.kind_of(opened.read(decoding.HEADER))) or path.suffix.lower() in layouts.ENDINGS
    except OSError:
        return path.suffix.lower() in layouts.ENDINGS
