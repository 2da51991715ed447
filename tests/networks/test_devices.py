"""What `import pipeline` does to tensorflow: a small package of that name, on the path, notes what is done to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTING = """
import sys
from types import SimpleNamespace
done = []
print("oneDNN is on", file=sys.stderr)
config = SimpleNamespace(
    list_physical_devices=lambda kind: ["GPU:0", "GPU:1"],
    experimental=SimpleNamespace(
        set_memory_growth=lambda gpu, grows: done.append((gpu, grows)),
        enable_tensor_float_32_execution=lambda enabled: done.append(f"TF32 {enabled}"),
    ),
)
get_logger = lambda: SimpleNamespace(setLevel=lambda level: done.append(level))
"""


@pytest.mark.parametrize(("log_level", "speaks"), [("2", False), ("0", True)])
def test_gpus_are_set_up_when_tensorflow_is_imported_and_it_says_nothing_unless_asked(tmp_path, log_level, speaks):
    (tmp_path / "tensorflow.py").write_text(NOTING)
    done = subprocess.run(
        [sys.executable, "-c", "import pipeline, tensorflow; print(tensorflow.done)"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "TF_CPP_MIN_LOG_LEVEL": log_level},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    grows = "('GPU:0', True), ('GPU:1', True), 'TF32 False'"
    assert done.stdout.strip() == (f"[{grows}]" if speaks else f"[{grows}, 'ERROR']")
    assert ("oneDNN" in done.stderr) is speaks
