"""alpharho: what MobileNet's width and resolution multipliers cost."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


class _QuietTensorflow(MetaPathFinder):
    """Lets `import tensorflow`, wherever it is done first, say nothing."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """That of tensorflow, with a loader that keeps quiet; None for every other module."""
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_quietly(module: ModuleType) -> None:
            with quiet_stderr():
                load(module)
                module.config.list_physical_devices("GPU")
            module.get_logger().setLevel("ERROR")  # or every second trial is told that tf.function retraces

        spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


# TensorFlow 2.21 writes half a screen about oneDNN and CUDA when it is imported and when it first looks for a GPU, and
# its own TF_CPP_MIN_LOG_LEVEL does not silence that (tensorflow/tensorflow#100442). Whoever sets it to 0 or 1 sees all.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") not in ("0", "1"):
    sys.meta_path.insert(0, _QuietTensorflow())
