"""The flags of a command, as its dataclass in pipeline/config has them: names, values, defaults and docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from itertools import pairwise

from tyro.conf import Positional

from pipeline import config
from pipeline.config import spell
from pipeline.shell.errors import require

KINDS = {bool: "true, false", int: "whole number", float: "number", str: "text"}


def body(name: str) -> list[str]:
    """The rows of a Markdown table (flag, values, default, what it is), one for each field that a class has of its own.

    Raises UserError where pipeline.config has no class `name`, and KeyError where a field says nothing.
    """
    known = [one for one in config.__all__ if one.endswith("Config")]
    require(name in known, "the name of a class in pipeline/config", name, f"one of {', '.join(known)}")
    config_class = getattr(config, name)
    hints, said = typing.get_type_hints(config_class), docstrings(config_class)
    return [
        f"| `{spelled(config_class, field.name)}` | {values(hints[field.name])} | {_default(field)} "
        f"| {_escaped(said[field.name])} |"
        for field in dataclasses.fields(config_class)
        if field.name in config_class.__annotations__
    ]


def spelled(config_class: type, name: str) -> str:
    """As a person types it: --seed, or PICTURES, which stand alone."""
    hint = typing.get_type_hints(config_class, include_extras=True)[name]
    stands_alone = any(one in getattr(hint, "__metadata__", ()) for one in typing.get_args(Positional[str])[1:])
    return name.upper() if stands_alone else f"--{name}"


def docstrings(config_class: type) -> dict[str, str]:
    """Field -> the text below it, of the fields that the class has of its own."""
    lines = list(ast.iter_child_nodes(ast.parse(inspect.getsource(config_class)).body[0]))
    return {
        field.target.id: text.value.value
        for field, text in pairwise(lines)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def values(hint: object) -> str:
    """What may stand behind a flag of this type: "auto, keras, litert", or "number, ..."."""
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    parts = typing.get_args(hint) or (hint,)
    return ", ".join("..." if part is Ellipsis else KINDS.get(part) or values(part) for part in parts)


def _escaped(text: str) -> str:
    """A `|` would end the cell."""
    return text.replace("|", "\\|")


def _default(field: dataclasses.Field) -> str:
    """As it is typed; nothing where it is empty."""
    text = spell(field.default)
    return f"`{text}`" if text else ""
