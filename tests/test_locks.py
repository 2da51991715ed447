"""Versions: conda.yaml and every lock agree with pyproject.toml, and pip and uv install each lock on every Python."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MLPROJECT_PYTHON = "3.11"  # of conda.yaml, and of the images
PYTHONS = ("3.11", "3.12", "3.13")
EXTRAS = ("dashboard", "distributed", "gpu", "heic", "onnx", "ray")
SERVER = ROOT / "docker" / "requirements-server.txt"
PROGRAM = [ROOT / f"requirements{part}.txt" for part in ("", "-dev", *(f"-{extra}" for extra in EXTRAS))]
LOCKS = [*PROGRAM, SERVER]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_lock_is_known() -> None:
    assert {*ROOT.glob("requirements*.txt"), *ROOT.glob("docker/requirements*.txt")} == set(LOCKS)


def direct_dependencies() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pin_lines(path: Path) -> list[str]:
    """A lock's lines without their hashes: `name==version`, and a marker where it has one."""
    return re.findall(r"^[A-Za-z0-9].*?(?= *\\?$)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def pins(path: Path, python: str) -> dict[str, str]:
    """name -> version of a lock file, of the lines that apply to `python` on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, str] = {}
    for line in pin_lines(path):
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


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", PROGRAM, ids=relative)
def test_locks_satisfy_pyproject(path: Path, python: str) -> None:
    locked = pins(path, python)
    wrong = [
        f"{requirement}: {locked.get(name)}"
        for name, requirement in direct_dependencies().items()
        if name not in locked or not requirement.specifier.contains(locked[name])
    ]
    assert wrong == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", EXTRAS)
def test_a_lock_adds_only_its_extra(extra: str, python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = pins(ROOT / f"requirements-{extra}.txt", python)
    for requirement in map(Requirement, project["optional-dependencies"][extra]):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
    common = pins(ROOT / "requirements.txt", python)
    assert {name: locked.get(name) for name in common} == common
    assert len(locked) > len(common)


def test_the_servers_lock_has_the_versions_of_the_programs() -> None:
    server = pins(SERVER, MLPROJECT_PYTHON)
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


def pip(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pip", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def would_install(python: str, *requirements: str | Path) -> subprocess.Popen[str]:
    """Asks pip what it would install on `python`; of each wheel it reads the metadata, a few kilobytes.

    Without hashes, since with them pip fetches every file to count its hash: gigabytes. promise, a requirement of
    tensorflow-datasets, is published as source alone.
    """
    flags = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--use-feature=fast-deps"]
    kinds = ["--only-binary=:all:", "--no-binary=promise"]
    return pip("install", *flags, *kinds, f"--python-version={python}", *requirements)


def answers(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit code and errors of each, warnings left out."""
    told = [process.communicate()[1] for process in processes]
    errors = ["\n".join(line for line in text.splitlines() if "ERROR" in line) for text in told]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.fixture(scope="module")
def index() -> None:
    """Skips where no package index can be reached."""
    looking = pip("index", "versions", "backports.strenum", "--timeout=10", "--retries=0")
    _, errors = looking.communicate()
    if looking.returncode:
        pytest.skip(f"no package index: {errors.strip().splitlines()[-1]}")


@pytest.mark.index
@pytest.mark.usefixtures("index")
def test_pip_installs_every_lock(tmp_path: Path) -> None:
    """All locks at once, since they agree: a question for each Python, side by side, for they mostly wait."""
    asked = []
    for python in PYTHONS:
        every = tmp_path / f"{python}.txt"
        locks = LOCKS if python == MLPROJECT_PYTHON else PROGRAM
        every.write_text("\n".join(sorted({line for path in locks for line in pin_lines(path)})))
        asked.append(would_install(python, "-r", every))
    assert answers(asked) == [(0, "")] * len(PYTHONS)


@pytest.mark.index
@pytest.mark.usefixtures("index")
def test_pip_refuses_what_is_not_made_for_a_python() -> None:
    """Which uv does not: it takes no notice of an upper bound, and once locked this version."""
    found = answers([would_install(python, "backports-strenum==1.3.1") for python in PYTHONS])
    assert [code for code, _ in found] == [1] * len(PYTHONS)
    assert all("Requires-Python >=3.8.6,<3.11" in error for _, error in found)


@pytest.mark.index
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("python", PYTHONS)
def test_uv_installs_every_lock_by_its_hashes(python: str, tmp_path: Path) -> None:
    """Each alone: what a lock lacks is refused, for it has no hash."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("no uv beside this Python; `make` puts it there")
    place = ["--python", sys.executable, "--python-version", python, "--target", str(tmp_path)]
    for path in LOCKS if python == MLPROJECT_PYTHON else PROGRAM:
        command = [str(uv), "pip", "install", "--dry-run", "--require-hashes", *place, "-r", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{relative(path)}: {done.stderr}"
