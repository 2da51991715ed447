"""What runs of one cell say."""

from __future__ import annotations

import pytest

from pipeline import records
from pipeline.config import TrainConfig
from pipeline.errors import UserError

DOGS = TrainConfig(alpha=0.75, resolution=192)


def test_a_configuration_survives_its_tag():
    config = TrainConfig(
        dataset="folder:my pictures/ü", weights="tiny", alpha=0.25, learning_rate=3e-5, freeze_conv=False
    )
    assert records.trained_config("run", records.config_tag(config)) == config


def test_a_run_that_trained_nothing_is_refused():
    with pytest.raises(UserError, match="run abc, which trained nothing"):
        records.trained_config("abc", {"alpharho.kind": "prepare"})


@pytest.mark.parametrize(("report_params", "params"), [("head", 1_925_256), ("imagenet_head", 2_601_976)])
def test_parameters_are_counted_with_this_head_or_the_reports(report_params, params):
    config = TrainConfig(alpha=0.75, resolution=192, report_params=report_params)
    assert records.cell_costs(config, 120)["params_total"] == params


def test_a_cell_is_said_by_name_and_by_both_numbers():
    said = records.cell_params(DOGS)
    assert (said["cell"], said["alpha"], said["resolution"]) == ("mobilenet_0.75_192", 0.75, 192)
    assert {"learning_rate", "beta_1", "beta_2"} <= set(said)
