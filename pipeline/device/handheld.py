"""A folder that a phone's browser opens: a page that runs files of pipeline.export there, and measures them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.device import runtime

FOLDER = "web"  # below that of the files
MODELS = "models.json"
_PAGE = Path(__file__).with_name("web")
_IMPORTS = json.dumps({"imports": {"@litertjs/wasm-utils": "./runtime/wasm-utils.js"}})


def write(files: Sequence[Path], folder: Path, given: str, cache: Path) -> None:
    """Puts the page, its runtime and `files` (.tflite, each with its card .json beside it) into `folder`.

    Files that lie there already stay, so that a page shows cells of several exports.

    Args: `given` and `cache` as of runtime.unpack, whose UserErrors it raises.
    """
    runtime.unpack(folder / "runtime", given, cache)
    for name in ("app.js", "decode.js", "resize.js", "style.css"):
        shutil.copyfile(_PAGE / name, folder / name)
    page = (_PAGE / "index.html").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(_IMPORTS.encode()).digest()).decode()
    page = page.replace("{imports}", _IMPORTS).replace("{hash}", f"sha256-{digest}")
    (folder / "index.html").write_text(page, encoding="utf-8")
    for file in files:
        for part in (file, file.with_suffix(".json")):
            shutil.copyfile(part, folder / part.name)
    there = sorted(path.name for path in folder.glob("*.tflite") if path.with_suffix(".json").is_file())
    (folder / MODELS).write_text(json.dumps(there), encoding="utf-8")
