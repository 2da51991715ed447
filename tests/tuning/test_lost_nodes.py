"""A cluster that loses a node on the way; a cluster of its own, since it is not the same afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.features.table import load_table
from pipeline.networks import backbones
from tests import clusters
from tests.features_of_noise import CELL, pictures
from tuning.cluster import RayExecutor
from tuning.extraction import spread

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_chunks_of_a_lost_node_are_made_again(tmp_path):
    if reason := clusters.why_no_ray():
        pytest.skip(reason)
    split, backbone, told = pictures(700), backbones.load(CELL, "tiny"), []
    with clusters.two_nodes() as cluster, RayExecutor(clusters.on(cluster)) as executor:

        def run(*args, tell, **kwargs) -> None:
            def telling(made) -> None:
                if made.count:
                    told.append(made.begin)
                    if len(told) == 1:
                        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
                tell(made)

            spread(executor, *args, tell=telling, **kwargs)

        made = load_table(split, "noise:1", backbone, str(tmp_path / "many"), run=run)
    assert told == [0, 192, 384, 576]
    plain = load_table(split, "noise:1", backbone, str(tmp_path / "one"))
    assert made.key == plain.key
    np.testing.assert_array_equal(made.features, plain.features)
