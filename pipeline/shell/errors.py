"""The exceptions that a person is meant to read, and which errors of the system a person can mend."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

# A full disk, a missing permission, a file where a folder is wanted.
STORAGE_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST),
    }
)
TEMPORARY_HINT = "set TMPDIR to a folder that has room for temporary files"
_FULL = 2**20  # bytes; with less a folder for temporary files counts as full


class UserError(Exception):
    """Wrong input or a missing resource: says what was wanted, what came and what to do next, in one line.

    Entry points print it without a traceback and exit with code 2.
    """


class Outage(UserError):
    """A service that may come back gave no answer in time; `__cause__` is the error of its library."""


def first_line(error: BaseException) -> str:
    """What an error says, cut to one line of 300 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def require(holds: bool, wanted: str, received: object, hint: str = "") -> None:
    """Raises UserError, in the one form that all refusals have, unless it `holds`."""
    if not holds:
        raise UserError(f"wanted {wanted}. Received: {received!r}." + (f" Try: {hint}." if hint else ""))


def is_temporary(error: OSError) -> bool:
    """Whether the folder for temporary files (TMPDIR) is in the way, because it is full or cannot be written.

    A project may lie in that folder, too: what is below the working directory is then its own.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:  # it looks for one that takes a file
        return True
    if error.errno not in STORAGE_ERRORS:
        return False
    if error.filename:
        path, project = Path(str(error.filename)).absolute(), Path.cwd()
        of_project = project.is_relative_to(folder) and path.is_relative_to(project)
        in_the_way = error.errno in (errno.ENOSPC, errno.EDQUOT) or not os.access(folder, os.W_OK)
        return path.is_relative_to(folder) and not of_project and in_the_way
    return error.errno == errno.ENOSPC and shutil.disk_usage(folder).free < _FULL
