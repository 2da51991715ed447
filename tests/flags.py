"""The tables of docs/settings.md, out of the dataclasses that make the flags.

python -m tests.flags        # writes them anew
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path

from pipeline.config import (
    DataConfig,
    EvaluateConfig,
    FitConfig,
    PruneConfig,
    ReportConfig,
    SweepConfig,
    TrainConfig,
    spell,
)

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
SUBJECTS = {
    "Which pictures: every command": DataConfig,
    "How a cell is trained: `pipeline.train`, `pipeline.main`, `tuning/optimize.py`": FitConfig,
    "One fit: `pipeline.train` and `pipeline.main`": TrainConfig,
    "A sweep: `tuning/optimize.py`": SweepConfig,
    "A test: `pipeline.evaluate`": EvaluateConfig,
    "A page: `reports.build`": ReportConfig,
    "Cleaning up: `tuning.prune`, and `tuning.status` for the first": PruneConfig,
}
HEAD = """# Settings: every flag

```
python tuning/optimize.py --help           # so does every other command
python -m tests.flags                      # writes this page anew, from the dataclasses in pipeline/config
```

`mlflow run` takes the same names: `-P trials=40`. Lists are separated by commas.
"""


def page() -> str:
    """The whole text; a flag of every command stands where it comes first."""
    known: set[str] = set()
    parts = [HEAD]
    for subject, config in SUBJECTS.items():
        told = known if issubclass(config, DataConfig) else set()
        rows = [_row(config, field) for field in dataclasses.fields(config) if field.name not in told]
        known |= {field.name for field in dataclasses.fields(config)}
        parts.append("\n".join([f"## {subject}\n", "| flag | unless given | |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _row(config: type, field: dataclasses.Field) -> str:
    said = next(found for owner in config.__mro__ if (found := _docstrings(owner).get(field.name)) is not None)
    default = spell(field.default)
    return f"| `--{field.name}` | {f'`{default}`' if default else ''} | {said} |"


def _docstrings(config: type) -> dict[str, str]:
    """What stands below each field of its own; an empty text where nothing does."""
    if not dataclasses.is_dataclass(config):
        return {}
    found: dict[str, str] = {}
    name = ""
    for node in ast.parse(inspect.getsource(config)).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            found[name] = ""
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[name] = node.value.value
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
