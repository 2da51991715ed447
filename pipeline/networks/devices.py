"""The GPU, if there is one: what may be asked of it, and what is done where its memory does not suffice."""

from __future__ import annotations

import tensorflow as tf

from pipeline.config import Precision
from pipeline.shell import progress
from pipeline.shell.errors import UserError

OutOfMemory = tf.errors.ResourceExhaustedError


def on_a_gpu() -> bool:
    """Whether tensorflow computes on one."""
    return bool(tf.config.list_physical_devices("GPU"))


def require_for(precision: Precision) -> None:
    """Raises UserError where this machine does not compute in `precision`: half of it is slower on a CPU."""
    if precision != "float32" and not on_a_gpu():
        raise UserError(
            f"wanted a GPU for precision {precision}. Received: none that tensorflow can use. Try: leave "
            "--precision out, or install requirements-gpu.txt where there is one"
        )


def halved(count: int, task: str, error: Exception, beside: str = "") -> int:
    """How many pictures to take at once after `count` of them did not fit into memory; says so in one line.

    Args:
        task: such as "features of mobilenet_1.0_224".
        beside: what else there is to say.

    Raises:
        UserError: it was one picture.
    """
    if count == 1:
        raise UserError(
            f"wanted memory for {task}, one picture at a time. Received: too little of it. "
            "Try: a smaller resolution or alpha, or a device that other programs leave more of"
        ) from error
    progress.note(f"{task}: out of memory with {count} pictures at once; going on with {count // 2}{beside}")
    return count // 2
