"""Work in a process of its own: what leaks, what must be measured alone, what must not import what we have imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from pipeline.shell.errors import UserError

_REFUSED = 2  # exit code


def fresh(module: str, *args: str) -> str:
    """What `python -m module args` prints, in a process that shares nothing with this one but the packages.

    Raises UserError where the process does (see `serve`), or where the system ended it, as it does when memory is out.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", module, *args], env=environment, capture_output=True, text=True, errors="replace"
    )
    if done.returncode == _REFUSED:
        raise UserError(done.stderr.strip().rpartition("\n")[2])
    if done.returncode < 0:
        raise UserError(
            f"wanted {module} to end. Received: signal {-done.returncode}, by which the system ended it. "
            "Try: more free memory, or a smaller network"
        )
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr}")
    return done.stdout


def serve(main: Callable[[Sequence[str]], None]) -> None:
    """The other end of `fresh`: calls `main` with the arguments; a UserError ends the process as `fresh` expects."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(_REFUSED)
