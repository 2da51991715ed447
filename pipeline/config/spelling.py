"""The one way in which values are written: in flags, in MLproject and in MLflow."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def as_params(config: DataclassInstance) -> dict[str, str]:
    """The one spelling in which a configuration is written to MLflow: name -> text."""
    return {field.name: spell(getattr(config, field.name)) for field in dataclasses.fields(config)}


def spell(value: object) -> str:
    """A value as a person types it after its flag: true, 1e-05, "0.75,1.0"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(spell(item) for item in value)
    return str(value)
