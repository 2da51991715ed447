"""What of a cluster a sweep takes, and what it refuses."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.shell.errors import UserError
from tuning.nodes import Node, Share, require_alike, share
from tuning.worker import About

CPUS = [Node("a", 4, 0), Node("b", 2, 0)]
GPUS = [Node("a", 8, 4), Node("b", 4, 1)]
OURS = About("2.60.0", "3.12.1", "0123456789ab")


@pytest.mark.parametrize(
    ("nodes", "asked", "wanted"),
    [
        (CPUS, ("auto", "auto", "auto"), Share(1, 4, 0)),
        (CPUS, (2, "auto", "auto"), Share(2, 2, 0)),
        (CPUS, (3, "auto", "auto"), Share(3, 2, 0)),
        (CPUS, (6, 1, "auto"), Share(6, 1, 0)),
        (GPUS, ("auto", "auto", "auto"), Share(5, 2, 1)),
        (GPUS, ("auto", "auto", 0.5), Share(10, 1, 0.5)),
        (GPUS, ("auto", 4, 2), Share(2, 4, 2)),
        (GPUS, (1, 1, 0), Share(1, 1, 0)),
    ],
)
def test_a_cluster_is_dealt_out(nodes, asked, wanted):
    assert share(nodes, *asked) == wanted


@pytest.mark.parametrize(
    ("nodes", "asked", "reason"),
    [
        (CPUS, ("auto", "auto", 1), "wanted 1 GPU for each worker. Received: 'a cluster with 0"),
        (CPUS, (7, "auto", "auto"), "wanted 7 workers of 1 core. Received: 'a cluster with room for 6: a with 4 cores"),
        (CPUS, (2, 3, "auto"), "wanted 2 workers of 3 cores"),
        (GPUS, (3, 1, 2), "wanted 3 workers of 1 core and 2 GPU"),
    ],
)
def test_what_a_cluster_has_not_is_refused(nodes, asked, reason):
    with pytest.raises(UserError) as error:
        share(nodes, *asked)
    assert reason in str(error.value)


def test_nodes_like_the_driver_pass():
    require_alike(OURS, {"a": OURS, "b": dataclasses.replace(OURS)})


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"ray": "2.59.0"}, "wanted Ray 2.60.0 on every node, as the driver has. Received: 2.59.0 on node b"),
        ({"python": "3.11.2"}, "wanted Python 3.12.1 on every node"),
        ({"alpharho": "ba9876543210"}, "wanted the sources 0123456789ab on every node"),
    ],
)
def test_another_program_on_a_node_is_refused_by_its_name(what, reason):
    with pytest.raises(UserError, match=reason):
        require_alike(OURS, {"a": OURS, "b": dataclasses.replace(OURS, **what)})


def test_a_node_without_the_program_is_refused_by_its_name():
    with pytest.raises(UserError, match="node b cannot import it"):
        require_alike(OURS, {"a": OURS, "b": "No module named 'tuning'"})
