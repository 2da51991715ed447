"""The house rules that a machine can hold: who imports what, one home for defaults and for versions, short files."""

import ast
import dataclasses
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline import config
from pipeline.shell import cli

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tuning", "reports")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FILE = 320  # lines
MLPROJECT_PYTHON = "3.11"  # of conda.yaml
LOCKS = sorted([*ROOT.glob("requirements*.txt"), *ROOT.glob("docker/requirements*.txt")])

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
    "pipeline.tracking",
    "pipeline.prepare",
    "pipeline.train",
    "pipeline.evaluate",
    "pipeline.main",
    "reports.tables",
    "reports.figures",
    "reports.answer",
    "reports.contents",
    "reports.trust",
    "reports.notices",
    "reports.page",
    "reports.build",
    "tuning.search_space",
    "tuning.importance",
    "tuning.storage",
    "tuning.studies",
    "tuning.sampling",
    "tuning.executors",
    "tuning.tasks",
    "tuning.publish",
    "tuning.summary",
    "tuning.search",
    "tuning.speeds",
    "tuning.estimate",
    "tuning.sweep",
    "tuning.status",
    "tuning.optimize",  # last, since a sweep ends with its report
)

ENTRY_POINTS: dict[str, tuple[str, type]] = {
    "prepare": ("pipeline.prepare", config.DataConfig),
    "train": ("pipeline.train", config.TrainConfig),
    "evaluate": ("pipeline.evaluate", config.EvaluateConfig),
    "main": ("pipeline.main", config.TrainConfig),
    "sweep": ("tuning.optimize", config.SweepConfig),
    "report": ("reports.build", config.ReportConfig),
}
REQUIRED = {"evaluate": {"run_id"}}  # parameters without a default


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
        ("pipeline.training.heads", "import tuning.study"),
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
        ("tuning.study", "import optuna\nfrom pipeline import config"),
        ("pipeline.datasets", "from pipeline.datasets.letters import draw"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert wrong_imports(module, source) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def direct_dependencies() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pins(path: Path, python: str) -> dict[str, str]:
    """name -> version of a lock file, of the lines that apply to `python` on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, str] = {}
    for line in re.findall(r"^[A-Za-z0-9].*?(?= *\\?$)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert canonicalize_name(requirement.name) not in found, f"{line}: pinned twice"
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def test_conda_pins_the_direct_dependencies_as_locked() -> None:
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    assert environment["name"] == "alpharho"
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    assert conda == [f"python={MLPROJECT_PYTHON}", "pip"]
    locked = pins(ROOT / "requirements.txt", MLPROJECT_PYTHON)
    wanted = {f"{requirement.name}=={locked[name]}" for name, requirement in direct_dependencies().items()}
    assert set(pip["pip"]) == wanted
    assert len(pip["pip"]) == len(wanted)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    "file", ["requirements.txt", "requirements-dev.txt", "requirements-distributed.txt", "requirements-gpu.txt"]
)
def test_locks_satisfy_pyproject(file: str, python: str) -> None:
    locked = pins(ROOT / file, python)
    wrong = [
        f"{requirement}: {locked.get(name)}"
        for name, requirement in direct_dependencies().items()
        if name not in locked or not requirement.specifier.contains(locked[name])
    ]
    assert wrong == []


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("extra", ["distributed", "gpu"])
def test_a_lock_adds_only_its_extra(extra: str, python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = pins(ROOT / f"requirements-{extra}.txt", python)
    for requirement in map(Requirement, project["optional-dependencies"][extra]):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
    common = pins(ROOT / "requirements.txt", python)
    assert {name: locked.get(name) for name in common} == common
    assert len(locked) > len(common)


def test_the_servers_lock_has_the_versions_of_the_programs() -> None:
    server = pins(ROOT / "docker" / "requirements-server.txt", MLPROJECT_PYTHON)
    assert {"mlflow", "psycopg", "boto3"} <= set(server)
    worker = pins(ROOT / "requirements-distributed.txt", MLPROJECT_PYTHON)
    shared = server.keys() & worker.keys()
    assert {name: server[name] for name in shared} == {name: worker[name] for name in shared}


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_locks_are_hashed_and_name_no_index(path: Path) -> None:
    text = re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"))
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    pin = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^-]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pin.fullmatch(line)] == []
    assert lines


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

    given = dict.fromkeys(REQUIRED.get(name, ()), "0123abc")
    entry_point = load_project(str(ROOT)).get_entry_point(name)
    command = entry_point.compute_command(given, storage_dir=None)
    _, config_class = ENTRY_POINTS[name]
    assert cli.parse(config_class, shlex.split(command)[3:]) == config_class(**given)
