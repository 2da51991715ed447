"""alpharho: what MobileNet's width and resolution multipliers cost."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps what C++ code writes to file descriptor 2, and shows it only where the block fails."""
    with tempfile.TemporaryFile() as kept:
        shown = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


# TensorFlow 2.21 writes half a screen about oneDNN and CUDA when it is imported and when it first looks for a GPU, and
# its own TF_CPP_MIN_LOG_LEVEL does not silence that (tensorflow/tensorflow#100442). Whoever sets it to 0 or 1 sees all.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") not in ("0", "1"):
    with _quiet_stderr():
        import tensorflow

        tensorflow.config.list_physical_devices("GPU")
    tensorflow.get_logger().setLevel("ERROR")  # or every second trial is told that tf.function retraces
