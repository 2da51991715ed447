"""Processor and GPU: set up once, what may be asked of them, and what is done where memory does not suffice.

Nothing here imports tensorflow before `set_up` is called, which must come before any other module does.
"""

from __future__ import annotations

import contextlib
import functools
import os

from pipeline.config import Precision
from pipeline.shell import progress
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError


@functools.cache
def set_up() -> None:
    """Imports tensorflow, and has it compute on no more cores than are ours. Nothing may have been computed before.

    On a GPU memory is taken when it is needed, not all of it at once (TF_FORCE_GPU_ALLOW_GROWTH=false goes before
    that), and float32 is computed as float32: from Ampere on tensorflow takes ten bits of a number for products (TF32),
    as coarse as half precision.
    """
    # TensorFlow 2.21 writes half a screen about oneDNN and CUDA when it is imported and when it first looks for a GPU,
    # and its own TF_CPP_MIN_LOG_LEVEL does not silence that (tensorflow/tensorflow#100442).
    quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") not in ("0", "1")
    with progress.quiet_stderr() if quiet else contextlib.nullcontext():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if quiet:
        tf.get_logger().setLevel("ERROR")  # or every second trial is told that tf.function retraces
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.threading.set_intra_op_parallelism_threads(cores())
    tf.config.threading.set_inter_op_parallelism_threads(cores())


def on_a_gpu() -> bool:
    """Whether tensorflow computes on one."""
    import tensorflow as tf

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
            "Try: a smaller resolution or alpha, or a device with more free memory"
        ) from error
    progress.note(f"{task}: out of memory with {count} pictures at once; going on with {count // 2}{beside}")
    return count // 2
