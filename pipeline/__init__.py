"""alpharho: what MobileNet's width and resolution multipliers cost."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


@contextmanager
def quiet_stderr() -> Iterator[None]:
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


class _TensorflowSetUp(MetaPathFinder):
    """Sets tensorflow up while it is imported, wherever that is done first: no GPU is in use then.

    Args:
        quiet: lets it say nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """That of tensorflow, with a loader that sets it up; None for every other module."""
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_set_up(module: ModuleType) -> None:
            with quiet_stderr() if self._quiet else nullcontext():
                load(module)
                _set_up_gpus(module)
            if self._quiet:
                module.get_logger().setLevel("ERROR")  # or every second trial is told that tf.function retraces

        spec.loader.exec_module = load_and_set_up  # type: ignore[method-assign]
        return spec


def _set_up_gpus(tensorflow: ModuleType) -> None:
    """Has memory taken when it is needed, not all of it at once, and float32 computed as float32.

    From Ampere on tensorflow takes ten bits of a float32 number for products (TF32), as coarse as half precision.
    TF_FORCE_GPU_ALLOW_GROWTH=false in the environment goes before the first.
    """
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)


# TensorFlow 2.21 writes half a screen about oneDNN and CUDA when it is imported and when it first looks for a GPU, and
# its own TF_CPP_MIN_LOG_LEVEL does not silence that (tensorflow/tensorflow#100442). Whoever sets it to 0 or 1 sees all.
sys.meta_path.insert(0, _TensorflowSetUp(quiet=os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") not in ("0", "1")))
