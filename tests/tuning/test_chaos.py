"""A sweep that is harmed at random, in a short form."""

from __future__ import annotations

import pytest
from tests.monkey import Plan

from tests.chaos import chaos
from tests.servers import why_no_postgres

SHORT = Plan(
    alphas="0.25",
    trials=3,
    epochs=1000,
    workers=2,
    signals=4,
    mlflow_restarts=1,
    pause=(4, 10),
    held=(2, 10),
    outage=(0.5, 2),
)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_sweep_survives_chaos(tmp_path):
    if reason := why_no_postgres():
        pytest.skip(reason)
    # By this seed one is stopped and one killed at work, two as they start, and one outlives both outages.
    findings, landed = chaos(SHORT, seed=20947, folder=tmp_path, limit=240)
    assert not findings, "\n".join(findings)
    assert landed >= 3  # a fast machine may be done before the last
