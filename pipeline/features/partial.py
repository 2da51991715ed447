"""A feature table on its way: it grows by whole chunks, and is taken up again after the last of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.shell.errors import UserError

CHUNK = 1024  # rows, or a few more; some seconds of work
SUFFIX = ".part"  # of its folder
ABOUT = "table.json"  # what the table is of; of a whole one also by what, how fast, and its hash
HASHES = "hashes.npy"  # of the pictures, uint8 (n, 32): their rows serve other tables; see reuse.py
AND = " and "  # between the names of engines
JOURNAL = "journal.jsonl"  # a line for each chunk: rows, sha256, engine, seconds


class Partial:
    """The folder `<key>.part`: `features.npy`, to which chunks are appended, the journal of them, and `table.json`.

    There must be one writer, by a lock. As a context manager it closes its files.

    Args:
        folder: where `finish` puts the table.
        shape: (n, d) of the whole.
        about: what table.json says of it.
        hashes: uint8 (n, 32), of the pictures.

    Attributes:
        rows: how many there are in whole chunks.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], about: dict[str, str], hashes: np.ndarray) -> None:
        self._folder, self._shape, self._about, self._hashes = folder, shape, about, hashes
        self._beside = folder.with_name(f"{folder.name}{SUFFIX}")
        self._buffer: list[np.ndarray] = []
        self._engines: set[str] = set()  # that made what is in the buffer
        self._seconds = 0.0  # that it took
        # Written through a file, not a memory map: on a full disk the map would end the process with SIGBUS.
        with _named(self._beside):
            self._file, self._journal, self._lines = self._open()
        self.rows = sum(line["rows"] for line in self._lines)

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._file, self._journal):
            with contextlib.suppress(OSError):  # of a full disk; it was told when it was written to
                file.close()

    @property
    def is_whole(self) -> bool:
        """Whether all rows are there."""
        return self.rows == self._shape[0]

    @property
    def next_row(self) -> int:
        """The first that was not added yet."""
        return self.rows + sum(map(len, self._buffer))

    def add(self, begin: int, features: np.ndarray, engine: str, seconds: float) -> None:
        """Takes the rows from `begin` on, float32 (m, d); those that it has already are passed over.

        Args:
            engine: what made them, or several joined by " and ".
            seconds: that it took for them.

        Raises UserError where they are not finite; then nothing will ever come of these weights, and all is removed.
        """
        next_row = self.next_row
        if begin < next_row:  # a task that died is run again from where it began
            return
        if begin > next_row:
            raise ValueError(f"wanted the features of picture {next_row}. Received: those of picture {begin}")
        if not np.isfinite(features).all():
            self.discard()
            raise UserError(
                f"wanted finite features of {self._about['cell']}. Received: NaN or infinity. Try: other --weights"
            )
        self._buffer.append(features)
        self._engines.update(engine.split(AND))
        self._seconds += seconds
        if next_row + len(features) - self.rows >= CHUNK or next_row + len(features) == self._shape[0]:
            with _named(self._beside):
                self._append(np.concatenate(self._buffer))
            self._buffer, self._engines, self._seconds = [], set(), 0.0

    def finish(self) -> None:
        """Puts the table in its place. Needs all rows."""
        self.__exit__()
        seconds = sum(line["seconds"] for line in self._lines)
        about = {
            **self._about,
            "engine": AND.join(sorted({one for line in self._lines for one in line["engine"].split(AND)})),
            "sha256": hash_of(self._beside / "features.npy"),
            "pictures_per_second": self.rows / seconds,
        }
        with _named(self._beside):
            np.save(hashes := io.BytesIO(), self._hashes)  # which says nothing of a full disk
            (self._beside / HASHES).write_bytes(hashes.getbuffer())
            (self._beside / ABOUT).write_text(json.dumps(about, indent=1))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._beside.rename(self._folder)
        (self._folder / JOURNAL).unlink()  # last: till the renaming it is what a new start goes by

    def discard(self) -> None:
        """Forgets all of it."""
        self.__exit__()
        shutil.rmtree(self._beside, ignore_errors=True)

    def _append(self, chunk: np.ndarray) -> None:
        written = chunk.astype("<f4").tobytes()
        self._file.write(written)
        self._file.flush()  # before the journal says that it is there
        line = {
            "rows": len(chunk),
            "sha256": hashlib.sha256(written).hexdigest(),
            "engine": AND.join(sorted(self._engines)),
            "seconds": self._seconds,
        }
        self._journal.write(json.dumps(line).encode() + b"\n")
        self._journal.flush()
        self._lines.append(line)
        self.rows += len(chunk)

    def _open(self) -> tuple[IO[bytes], IO[bytes], list[dict[str, Any]]]:
        """Both files, cut behind the last whole chunk, and the journal's lines."""
        self._beside.mkdir(exist_ok=True)
        (self._beside / ABOUT).write_text(json.dumps(self._about, indent=1))
        opened = []
        for name in ("features.npy", JOURNAL):
            (self._beside / name).touch()
            opened.append((self._beside / name).open("r+b"))
        file, journal = opened
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(start, {"descr": "<f4", "fortran_order": False, "shape": self._shape})
        header = start.getvalue()
        lines, journal_end, file_end = [], 0, len(header)
        if file.read(len(header)) == header:
            for text in journal:
                if (line := self._whole_chunk(text, file)) is None:
                    break
                lines.append(line)
                journal_end += len(text)
                file_end += self._bytes(line["rows"])
        for one, end in ((file, file_end), (journal, journal_end)):
            one.truncate(end)
            one.seek(end)
        if not lines:
            file.seek(0)
            file.write(header)
            file.flush()
        return file, journal, lines

    def _whole_chunk(self, text: bytes, file: IO[bytes]) -> dict[str, Any] | None:
        """The journal's line, where the next chunk of the file is what it says."""
        try:
            line = json.loads(text)
            chunk = file.read(self._bytes(line["rows"]))
            same = hashlib.sha256(chunk).hexdigest() == line["sha256"]
        except (ValueError, KeyError, TypeError):
            return None
        return line if same and text.endswith(b"\n") else None

    def _bytes(self, rows: int) -> int:
        return rows * self._shape[1] * 4


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Names `folder` in an error of the disk, which says no name where a file is open already."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise


def hash_of(path: Path) -> str:
    """sha256 hex of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
