"""Where the files of a program go: into the folder that its command was called in."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

MKDTEMP = re.compile(r"tmp[a-z0-9_]{8}")  # how Python names a temporary folder
SHELLS = frozenset({"bash", "sh", "cmd.exe"})


def home() -> Path:
    """The folder that the command was called in; relative paths are meant from there.

    It is the current folder, with one exception: `mlflow run` on a git address or a zip clones the project into a
    temporary folder and starts the program there, where nobody would look for results. mlflow hands over nothing that
    tells where it was called itself, so it is asked of the system: the current folder of the process that started this
    one, not counting the shell that mlflow puts in between.
    """
    here = Path.cwd()
    if not _is_clone(here):
        return here
    import psutil

    try:
        starter = next(process for process in psutil.Process().parents() if process.name() not in SHELLS)
        return Path(starter.cwd())
    except (psutil.Error, StopIteration):  # a process of somebody else's, or one that has ended
        return here


def _is_clone(folder: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    if not os.environ.get("MLFLOW_RUN_ID") or temporary not in folder.parents:
        return False
    return MKDTEMP.fullmatch(folder.relative_to(temporary).parts[0]) is not None
