"""Everything that MLflow keeps of a run; the only folder that imports mlflow.

    tracker = connect("alpharho")
    with tracker.run("sweep digits", "sweep") as sweep:
        tracker.log_params(sweep, {"epochs": 30})
        tracker.publish(TrialRun("trial 0", "digits#0", "FINISHED", started, ended, curves=fit.curves), parent=sweep)

Everything goes by explicit run ids: mlflow's stack of active runs is per thread, and a driver has many runs open.
What stands here imports no mlflow, which `connect` sets up first; `Tracker` is here for annotations alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.shell.errors import Outage
from pipeline.tracking import variables
from pipeline.tracking.environment import environment_tags
from pipeline.tracking.runs import RunRecord, TrialRun

if TYPE_CHECKING:
    from pipeline.tracking.tracker import Tracker

__all__ = ["Outage", "RunRecord", "Tracker", "TrialRun", "connect", "environment_tags"]


def connect(experiment: str, in_project: bool = True, make: bool = True) -> Tracker:
    """Opens the store named by MLFLOW_TRACKING_URI, by default ./mlflow.db, and the experiment.

    Raises UserError, within seconds, where the store cannot be used.

    Args:
        experiment: where it is the default, MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID go before it.
        in_project: inside `mlflow run` (MLFLOW_RUN_ID is set) the experiment of that run is used, not `experiment`.
        make: what is missing is made; otherwise it is a UserError.
    """
    variables.set_up()
    from pipeline.tracking.store import open_store
    from pipeline.tracking.tracker import Tracker

    return Tracker(*open_store(experiment, in_project, make))
