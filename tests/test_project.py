"""The house rules that a machine can hold: who imports what, one home for defaults, short files."""

import ast
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import config
from pipeline.shell import cli

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tuning", "reports")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FILE = 320  # lines
OF_ITSELF = ("self", "cls", "super()")

# A module imports only from its left, that is from what stands above it here; a folder counts as one module.
FLOW = (
    *PACKAGES,  # their __init__.py
    "pipeline.shell",
    "pipeline.config",
    "pipeline.datasets",
    "pipeline.networks",
    "pipeline.features",
    "pipeline.training",
    "pipeline.scoring",
    "pipeline.device",
    "pipeline.tracking",
    "pipeline.prepare",
    "pipeline.train",
    "pipeline.evaluate",
    "pipeline.export",
    "pipeline.predict",
    "pipeline.serve",
    "pipeline.main",
    "reports.tables",
    "reports.figures",
    "reports.answer",
    "reports.contents",
    "reports.trust",
    "reports.notices",
    "reports.file_table",
    "reports.device_rows",
    "reports.page",
    "reports.build",
    "reports.choose",
    "reports.numbers",
    "reports.flags",
    "reports.measured",
    "reports.results",
    "tuning.search_space",
    "tuning.importance",
    "tuning.storage",
    "tuning.stopping",
    "tuning.studies",
    "tuning.enqueued",
    "tuning.sampling",
    "tuning.rounds",
    "tuning.executors",
    "tuning.driver",
    "tuning.extraction",
    "tuning.worker",
    "tuning.nodes",
    "tuning.cluster",
    "tuning.tasks",
    "tuning.publish",
    "tuning.summary",
    "tuning.search",
    "tuning.estimate",
    "tuning.sweep",
    "tuning.status",
    "tuning.prune",
    "tuning.handover",  # these are last, since a sweep ends with files and its report
    "tuning.optimize",
)

ENTRY_POINTS: dict[str, tuple[str, type]] = {
    "prepare": ("pipeline.prepare", config.DataConfig),
    "train": ("pipeline.train", config.TrainConfig),
    "evaluate": ("pipeline.evaluate", config.EvaluateConfig),
    "export": ("pipeline.export", config.ExportConfig),
    "main": ("pipeline.main", config.TrainConfig),
    "sweep": ("tuning.optimize", config.SweepConfig),
    "report": ("reports.build", config.ReportConfig),
}
REQUIRED = {"evaluate": {"run_id"}}  # parameters without a default
NEEDED = REQUIRED | {"export": {"run_id"}}  # what a person gives at least; --model would do there, too


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    """pipeline/datasets/letters.py -> pipeline.datasets; pipeline/__init__.py -> pipeline."""
    parts = [part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
    return ".".join(parts[:2])


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports, anywhere in it: `from a import b` gives a.b, which may be a name in a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def wrong_imports(module: str, source: str) -> list[str]:
    """What `source`, as the text of `module`, imports against the house rules."""
    wrong = []
    for name in imported(ast.parse(source)):
        library = name.split(".")[0]
        if library == "mlflow" and module != "pipeline.tracking":
            wrong.append(f"{name}: mlflow is imported in pipeline/tracking alone")
        elif library == "optuna" and not module.startswith("tuning."):
            wrong.append(f"{name}: optuna is imported under tuning/ alone")
        elif name.startswith("."):
            wrong.append(f"{name}: write imports in full")
        elif library in PACKAGES:
            target = ".".join(name.split(".")[:2])
            if target not in FLOW:
                wrong.append(f"{name}: place {target} in FLOW")
            elif target != module and FLOW.index(target) >= FLOW.index(module):
                wrong.append(f"{name}: stands to the right of {module}")
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_flow_one_way(path: Path) -> None:
    module = module_of(path)
    assert module in FLOW, f"{relative(path)} is new: place {module} in FLOW of {Path(__file__).name}"
    assert wrong_imports(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipeline.training.heads", "import mlflow.keras"),
        ("pipeline.training.heads", "def f():\n    from mlflow import log_metric"),
        ("pipeline.tracking", "import optuna"),
        ("reports.tables", "import importlib\nimportlib.import_module('optuna')"),
        ("pipeline.datasets", "from pipeline import features"),
        ("pipeline.datasets", "from pipeline.features import extract"),
        ("pipeline.datasets", "from . import letters"),
        ("pipeline.training", "import tuning.studies"),
        ("pipeline.training.heads", "import pipeline.utils"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, source: str) -> None:
    assert len(wrong_imports(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipeline.tracking", "import mlflow"),
        ("pipeline.tracking", "from importlib.metadata import version\nversion('optuna')"),
        ("tuning.studies", "import optuna\nfrom pipeline import config"),
        ("pipeline.datasets", "from pipeline.datasets.letters import draw"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert wrong_imports(module, source) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def entry_points() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]


def test_every_entry_point_is_known() -> None:
    assert set(entry_points()) == set(ENTRY_POINTS)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlproject_has_the_defaults_of_config(name: str) -> None:
    _, config_class = ENTRY_POINTS[name]
    required = REQUIRED.get(name, set())
    listed = {key: value["default"] for key, value in entry_points()[name]["parameters"].items() if key not in required}
    fields = {field.name: field.default for field in dataclasses.fields(config_class)}
    assert listed == {key: config.spell(value) for key, value in fields.items() if key not in required}
    assert {key: entry_points()[name]["parameters"][key] for key in required} == dict.fromkeys(required, "string")


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlproject_hands_every_parameter_over(name: str) -> None:
    module, config_class = ENTRY_POINTS[name]
    flags = [f"--{field.name} {{{field.name}}}" for field in dataclasses.fields(config_class)]
    assert entry_points()[name]["command"] == " ".join([f"python -m {module}", *flags])


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlflows_command_is_read_as_the_defaults(name: str) -> None:
    from mlflow.projects.utils import load_project

    given = dict.fromkeys(NEEDED.get(name, ()), "0123abc")
    entry_point = load_project(str(ROOT)).get_entry_point(name)
    command = entry_point.compute_command(given, storage_dir=None)
    _, config_class = ENTRY_POINTS[name]
    assert cli.parse(config_class, shlex.split(command)[3:]) == config_class(**given)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def patches_private(call: ast.Call) -> bool:
    names = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return any(map(is_private, names))


def test_no_test_reads_a_private_name():
    """Nor replaces one by its name, as monkeypatch.setattr does."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in OF_ITSELF)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr") and patches_private(node))
    ]
    assert found == []


def test_streams_of_tf_data_run_as_one_module_says():
    """Whoever iterates one otherwise waits for the thread that tunes it (datasets/streams.py)."""
    home = ROOT / "pipeline/datasets/streams.py"
    words = ("as_numpy_iterator", "AUTOTUNE")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in SOURCES
        for word in words
        if path != home and word in path.read_text(encoding="utf-8")
    ]
    assert found == []
