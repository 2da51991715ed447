"""Data sets: a name becomes class names and two splits of pictures with labels.

What stands here is imported when it is first used, with TensorFlow; `decoding` and `resizing` want none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.datasets.loading import load
    from pipeline.datasets.pictures import Dataset, Split, check_readable, unreadable_named
    from pipeline.datasets.splits import cut, folds

__all__ = ["Dataset", "Split", "check_readable", "cut", "folds", "load", "unreadable_named"]

_HOMES = {"load": "loading", "cut": "splits", "folds": "splits"}  # the others stand in pictures.py


def __getattr__(name: str) -> Any:
    """Imports the module in which `name` stands (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'pictures')}"), name)
