"""docker/: what can be known of it without Docker, and its own commands started as processes of this machine."""

from __future__ import annotations

import copy
import fnmatch
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pipeline.config import SweepConfig
from pipeline.shell import cli
from tests import chaos, kuberay
from tests.servers import MlflowServer

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
KUBERNETES = "1.31"  # the oldest that docker/k8s/README.md names
SECRETS = {"POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
WITHOUT_HEALTH_CHECK = {
    "bucket": "ends, and the MLflow server waits for its success",
    "driver": "serves nothing",
    "driver-gpu": "as driver",
    "driver-ray": "as driver",
    "ray-worker": "Ray's head watches it",
}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<way>:[-?])?(?P<rest>[^}]*)\}")


def services(**values: str) -> dict[str, Any]:
    """The services of compose.yaml, its variables replaced by `values`, else by what .env.example has, else default."""
    known = env_example() | values

    def put(match: re.Match[str]) -> str:
        return known.get(match["name"]) or (match["rest"] if match["way"] == ":-" else "")

    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(VARIABLE.sub(put, text))["services"]


def env_example() -> dict[str, str]:
    """Those that are set, not those behind a #."""
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object of docker/k8s, without kustomize's own."""
    files = sorted(path for path in (DOCKER / "k8s").glob("*.yaml") if path.stem != "kustomization")
    return [document for path in files for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def pods() -> dict[str, dict[str, Any]]:
    """Name of a Deployment, StatefulSet, Job or group of a Ray cluster -> its pods' specification."""
    found = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in manifests() if "template" in one["spec"]
    }
    cluster = ray_job()["rayClusterSpec"]
    groups = {"ray-head": cluster["headGroupSpec"], **{one["groupName"]: one for one in cluster["workerGroupSpecs"]}}
    return found | {name: group["template"]["spec"] for name, group in groups.items()}


def ray_job() -> dict[str, Any]:
    """The specification of the sweep on KubeRay."""
    (spec,) = (one["spec"] for one in manifests() if one["kind"] == "RayJob")
    return spec


def containers() -> dict[str, dict[str, Any]]:
    """Name -> container of docker/k8s, those that run first among them."""
    return {one["name"]: one for pod in pods().values() for one in [*pod.get("initContainers", []), *pod["containers"]]}


def instructions(target: str) -> list[tuple[str, list[str]]]:
    """The Dockerfile's instructions of the stage `target` and of the stages that it stands on, in order."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line[0] == "FROM"]
    stages = {lines[a][3]: lines[a:b] for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)}
    base = stages[target][0][1]
    found = [(word, rest) for word, *rest in stages[target]]
    return instructions(base) + found[1:] if base in stages else found


@pytest.mark.parametrize("name", services())
def test_every_service_is_watched_or_has_its_reason(name: str) -> None:
    check = services()[name]["healthcheck"]
    assert check == {"disable": True} if name in WITHOUT_HEALTH_CHECK else check["test"][0] == "CMD"


@pytest.mark.parametrize("name", services())
def test_a_service_waits_until_another_is_ready(name: str) -> None:
    """One without a health check never becomes healthy: who waited for that would never start."""
    every = services()
    for other, how in every[name].get("depends_on", {}).items():
        ends = other in WITHOUT_HEALTH_CHECK
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")
        assert other in every


def test_secrets_have_no_default_and_no_literal() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    asked = {match["name"]: match["way"] for match in VARIABLE.finditer(text)}
    assert {name for name, way in asked.items() if way == ":?"} == {*SECRETS, "SWEEP_FLAGS"}
    assert {name: env_example()[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")
    marks = {name: f"mark-of-{name}" for name in SECRETS}
    for service in services(**marks).values():
        secret = {key: value for key, value in service["environment"].items() if re.search("PASSWORD|KEY", key)}
        assert set(secret.values()) <= set(marks.values())
    for container in containers().values():
        for variable in container["env"]:
            if re.search("PASSWORD|KEY", variable["name"]):
                assert variable["valueFrom"]["secretKeyRef"]["key"] in SECRETS
    assert "://alpharho:" not in text + json.dumps(manifests())  # nor in an address


def test_what_compose_asks_for_stands_in_the_example() -> None:
    asked = {match["name"] for match in VARIABLE.finditer((DOCKER / "compose.yaml").read_text(encoding="utf-8"))}
    explained = re.findall(r"^(?:# )?(\w+)=", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert asked == set(explained)


def test_ports_are_published_on_this_machine_alone() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:5432:5432", "127.0.0.1:5000:5000", "127.0.0.1:8265:8265"]


def test_images_are_pinned() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    foreign = [service["image"] for service in services().values() if "build" not in service]
    base = [rest[0] for word, rest in instructions("worker") if word == "FROM"]
    for image in [*foreign, *base]:
        assert re.search(r":v?\d+\.\d+[^:]*(@sha256:[0-9a-f]{64})?$", image), image
    own = [service["image"] for service in services().values() if "build" in service]
    assert {image.rpartition(":")[2] for image in own} == {version}


def test_the_cluster_has_the_images_and_commands_of_compose() -> None:
    every, pod = services(), containers()
    for name in ("postgres", "store", "bucket", "mlflow", "driver"):
        assert pod[name]["image"].partition(":")[0] == every[name]["image"].partition(":")[0]
    for name in ("postgres", "store", "driver"):
        assert pod[name]["image"] == every[name]["image"]
    (renamed,) = yaml.safe_load((DOCKER / "k8s" / "kustomization.yaml").read_text(encoding="utf-8"))["images"]
    assert f"{renamed['name']}:{renamed['newTag']}" == every["mlflow"]["image"]
    assert words(pod["mlflow"]["command"]) == words(every["mlflow"]["command"])
    assert words(pod["driver"]["command"]) == words(every["driver"]["command"])
    for name in ("postgres", "store"):
        assert pod[name]["args"] == every[name]["command"]
    assert pod["bucket"]["command"] == every["bucket"]["command"]


def words(command: str | Sequence[str]) -> list[str]:
    """--flag=value and --flag value alike."""
    parts = shlex.split(command) if isinstance(command, str) else command
    return [word for part in parts for word in (part.split("=", 1) if part.startswith("--") else [part])]


COMMANDS = {name: services()[name]["command"] for name in ("driver", "driver-gpu", "driver-ray")}


@pytest.mark.parametrize("command", [*COMMANDS.values(), ray_job()["entrypoint"]], ids=[*COMMANDS, "rayjob"])
def test_the_drivers_flags_are_flags_of_the_sweep(command: str) -> None:
    start, script, *flags = words(command.rpartition(" -- ")[2])
    assert (start, script) == ("python", "tuning/optimize.py")
    config = cli.parse(SweepConfig, flags)
    assert config.storage == "postgresql+psycopg://alpharho@postgres/optuna"
    assert (config.dataset, config.trials) == ("digits", 16)


@pytest.mark.parametrize("target", ["server", "worker"])
def test_the_image_takes_files_that_exist_and_drops_root(target: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    sources = [name for word, rest in instructions(target) if word == "COPY" for name in rest[:-1]]
    for name in sources:
        assert (ROOT / name).exists()
        assert any(fnmatch.fnmatch(name.rstrip("/"), pattern) for pattern in let_through), f"{name}: in .dockerignore"
    assert [rest for word, rest in instructions(target) if word == "USER"][-1] == ["alpharho"]


def test_pods_run_without_root_and_without_rights() -> None:
    for pod in pods().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["enableServiceLinks"] is False  # MLFLOW_PORT and POSTGRES_PORT would hold tcp://...
    for container in containers().values():
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_the_ray_cluster_is_the_same_on_kubernetes() -> None:
    """Command of the driver and image; Ray's version is the lock's."""
    every, job = services(), ray_job()
    submitted = words(every["driver-ray"]["command"].rpartition(" -- ")[2])
    assert words(job["entrypoint"]) == submitted
    assert {pods()[name]["containers"][0]["image"] for name in ("ray-head", "workers")} == {every["ray-head"]["image"]}
    lock = (ROOT / "requirements-ray.txt").read_text(encoding="utf-8")
    assert f"\nray=={job['rayClusterSpec']['rayVersion']} " in lock


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifests_are_as_kubernetes_wants_them(manifest: dict[str, Any]) -> None:
    """By the schemas of Kubernetes itself, which of a RayJob know its pods; the rest of it is KubeRay's."""
    if manifest["kind"] != "RayJob":
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        return
    assert (manifest["apiVersion"], set(manifest)) == ("ray.io/v1", {"apiVersion", "kind", "metadata", "spec"})
    jsonschema.validate(manifest["spec"], kuberay.RAY_JOB)
    for name in ("ray-head", "workers"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pods()[name]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("rayClusterSpec", "rayVersoin"), "2.60.0", "rayVersoin"),
        (("backoffLimit",), "3", "'3' is not of type 'integer'"),
        (("submissionMode",), "K8SJobMode", "'K8SJobMode' is not one of"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0, "0 is not of type 'string'"),
        (("rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"), "2", "'2' is not of type 'integer'"),
    ],
    ids=["misspelt", "a number as text", "another word", "text as a number", "of a group"],
)
def test_a_ray_job_that_kuberay_would_not_take_is_told(where: tuple[Any, ...], value: object, said: str) -> None:
    spec = copy.deepcopy(ray_job())
    parent: Any = spec
    for key in where[:-1]:
        parent = parent[key]
    parent[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError, match=re.escape(said)):
        jsonschema.validate(spec, kuberay.RAY_JOB)


def test_there_is_one_driver_and_it_is_started_again() -> None:
    """A second one would be refused."""
    (job,) = (one["spec"] for one in manifests() if one["kind"] == "Job")
    assert (job["completions"], job["parallelism"], job["podReplacementPolicy"]) == (1, 1, "Failed")
    assert job["backoffLimit"] > 0
    started = {name: service for name, service in services().items() if "profiles" not in service}
    assert [name for name in started if name.startswith("driver")] == ["driver"]
    assert started["driver"]["restart"].startswith("on-failure")
    assert "deploy" not in started["driver"]  # where replicas would stand


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A copy of docker/, with secrets in .env and in k8s/secret.env; beside it what it builds from."""
    folder = tmp_path / "docker"
    shutil.copytree(DOCKER, folder, ignore=shutil.ignore_patterns(".env", "secret.env"))
    lines = [f"{name}={secrets.token_hex(8)}\n" for name in sorted(SECRETS)]
    (folder / "k8s" / "secret.env").write_text("".join(lines))
    (folder / ".env").write_text((DOCKER / ".env.example").read_text(encoding="utf-8") + "".join(lines))
    return folder


def test_docker_compose_takes_the_file(secret_file: Path) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("no `docker compose` on this machine")
    command = ["docker", "compose", "--file", "compose.yaml", "--profile", "*", "config", "--quiet"]
    done = subprocess.run(command, cwd=secret_file, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_kustomize_makes_the_services(secret_file: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no `kubectl` on this machine")
    done = subprocess.run(["kubectl", "kustomize", str(secret_file / "k8s")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert set(made["Secret", "alpharho"]["data"]) == SECRETS
    assert {kind for kind, _ in made} == {"ConfigMap", "Deployment", "Secret", "Service", "StatefulSet"}


def flags(command: Sequence[str]) -> set[str]:
    return {word for word in command if word.startswith("--")}


def test_chaos_starts_the_commands_of_compose() -> None:
    """What tests/chaos.py runs without Docker, on a real PostgreSQL, is what stands here, in other places."""
    driver = words(services()["driver"]["command"])
    assert flags(driver) <= flags(words(chaos.FLAGS)) | {"--storage"}
    server = MlflowServer("postgresql+psycopg://somewhere/mlflow", Path("mlflow"), chaos.SERVER_OPTIONS)
    assert flags(server.flags) == flags(words(services()["mlflow"]["command"]))


@pytest.mark.images
@pytest.mark.timeout(1200)
def test_the_servers_image_is_built_without_docker() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))):
        pytest.skip("needs root, buildah and debootstrap")
    program = "import boto3, mlflow, psycopg; print(mlflow.__version__)"
    command = [str(DOCKER / "build-without-docker"), "server", "python", "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert f"mlflow=={done.stdout.strip()} " in (DOCKER / "requirements-server.txt").read_text(encoding="utf-8")
