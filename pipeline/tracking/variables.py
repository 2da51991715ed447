"""The environment that mlflow is imported with."""

from __future__ import annotations

import os
from pathlib import Path

WANTED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # "View run at" once for every trial
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # mlflow's own retries, 7 of them, repeat whatever failed, and so make a run twice where only the answer was lost.
    # outages.py tries again instead, and notices a silent server sooner than after mlflow's 120 s.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def set_up() -> None:
    """Sets what mlflow reads when it is imported or later; a person's own setting wins."""
    for name, value in WANTED.items():
        os.environ.setdefault(name, value)
    try:
        Path.home()
    except RuntimeError:
        # `docker run --user 12345`: mlflow asks for a home when it is imported, and for a name when it makes a run.
        os.environ["HOME"] = "/nonexistent"  # as Debian's nobody has it; what is written there fails, and nobody plants
        os.environ.setdefault("USER", f"uid {os.getuid()}")
