"""What a cluster has, and whether it will do: how many workers, of what share, and nodes that are like the driver."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError, first_line, require
from tuning.worker import ROOT, About

_ANSWERS = 5.0  # s, for a cluster's port
_NICENESS = "RAY_worker_niceness"  # of the processes that Ray starts; read from the environment of a node's start


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        name: for people.
        cpus, gpus: that Ray may hand out there.
    """

    name: str
    cpus: float
    gpus: float

    def __str__(self) -> str:
        return f"{self.name} with {self.cpus:g} cores" + (f" and {self.gpus:g} GPU" if self.gpus else "")


@dataclass(frozen=True)
class Share:
    """Workers, and what each of them has."""

    workers: int
    cpus: int
    gpus: float

    def __str__(self) -> str:
        several = "s" if self.cpus > 1 else ""
        return f"each with {self.cpus} core{several}" + (f" and {self.gpus:g} of a GPU" if self.gpus else "")


Auto = Literal["auto"]


def share(nodes: Sequence[Node], workers: int | Auto, cpus: int | Auto, gpus: float | Auto) -> Share:
    """Deals a cluster out.

    Args:
        workers: auto for as many as there are GPUs for, or 1.
        cpus: of each worker; auto for as many as there are for all.
        gpus: of each worker; auto for one where there are any, or none.

    Raises UserError where the cluster has not what is asked for.
    """
    there = sum(node.gpus for node in nodes)
    each = float(there > 0) if gpus == "auto" else gpus
    require(
        not each or there >= each,
        f"{each:g} GPU for each worker",
        f"a cluster with {there:g}, as Ray counts them",
        "leave --gpus_per_worker out, or start Ray's nodes where GPUs are",
    )
    count = (sum(int(node.gpus // each) for node in nodes) if each else 1) if workers == "auto" else workers
    fewest = 1 if cpus == "auto" else cpus
    require(
        room(nodes, fewest, each) >= count,
        f"{count} workers of {fewest} core{'s' if fewest > 1 else ''}" + (f" and {each:g} GPU" if each else ""),
        f"a cluster with room for {room(nodes, fewest, each)}: {', '.join(map(str, nodes))}",
        "fewer --workers, or less for each of them",
    )
    while cpus == "auto" and room(nodes, fewest + 1, each) >= count:
        fewest += 1
    return Share(count, fewest, each)


def room(nodes: Sequence[Node], cpus: int, gpus: float) -> int:
    """For how many workers there is."""
    return int(sum(min(node.cpus // cpus, node.gpus // gpus if gpus else node.cpus // cpus) for node in nodes))


def require_alike(own: About, others: Mapping[str, About | str]) -> None:
    """Raises UserError, which names it, where a node's program is another one than ours.

    Args:
        others: by the node's name; a text where the program could not be imported there, and why.
    """
    for name, about in others.items():
        if isinstance(about, str):
            raise UserError(
                f"wanted alpharho on every node. Received: node {name} cannot import it ({about}). "
                "Try: install it there as it is here, at the same path or as a package"
            )
        for what in ("ray", "python", "alpharho"):
            here, there = getattr(own, what), getattr(about, what)
            if here != there:
                shown = {"ray": "Ray", "python": "Python", "alpharho": "the sources"}[what]
                raise UserError(
                    f"wanted {shown} {here} on every node, as the driver has. Received: {there} on node {name}. "
                    "Try: the same image, or the same checkout and requirements, on all of them"
                )


def connect(address: str) -> ModuleType:
    """Joins the cluster as its driver, or starts one of this machine's cores; returns the package ray.

    Args:
        address: auto, HOST:PORT, or empty: the cluster that a job of Ray's runs on, else a new one on this machine.

    Raises UserError where ray is not installed, or no cluster answers, or one of other versions.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            "wanted the package ray for --executor ray. Received: none installed. "
            "Try: uv pip install --require-hashes -r requirements-ray.txt"
        ) from None
    where = address or os.environ.get("RAY_ADDRESS", "") or "local"
    _require_answer(where)
    if where == "local":
        os.environ.setdefault(_NICENESS, "0")  # Ray's own is 15: beside another program its workers get next to nothing
    own: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False} if where == "local" else {}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=where,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
            **own,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _no_cluster(where, " ".join(str(error).split())[:300]) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would end the process before its runs are closed
    return ray


def _require_answer(address: str) -> None:
    """Raises UserError where nothing listens at HOST:PORT: Ray would try for minutes, and heed no Ctrl-C."""
    if address in ("local", "auto"):
        return
    host, colon, port = address.rpartition(":")
    require(
        bool(colon) and port.isdecimal() and "/" not in host,
        "--ray_address auto or HOST:PORT",
        address,
        "the address that `ray start --head` prints, such as 10.0.0.1:6379",
    )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, first_line(error)) from error


def _no_cluster(address: str, reason: str) -> UserError:
    return UserError(
        f"wanted a Ray cluster at {address}. Received: {reason}. "
        "Try: ray start --head, and --ray_address auto on the same machine or HOST:6379 on others"
    )


def found(ray: ModuleType) -> list[Node]:
    """The machines of the cluster that are up."""
    return [
        Node(one["NodeManagerHostname"], one["Resources"].get("CPU", 0.0), one["Resources"].get("GPU", 0.0))
        for one in ray.nodes()
        if one["Alive"]
    ]


def look_at(ray: ModuleType) -> dict[str, About | str]:
    """What runs on each machine, by its name; see `require_alike`."""

    def look() -> About | str:
        """Sent as it is, not by its name: the program may not be there."""
        try:
            from tuning.worker import About
        except ImportError as error:
            return str(error)
        return About.here()

    asked = {}
    for one in ray.nodes():
        if one["Alive"]:
            there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(one["NodeID"], soft=False)
            remote = ray.remote(look).options(num_cpus=0, scheduling_strategy=there)
            asked[f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"] = remote.remote()
    return {name: ray.get(answer) for name, answer in asked.items()}
