"""Everything that MLflow keeps of a run; the only folder that imports mlflow.

    tracker = connect("alpharho")
    with tracker.run("sweep digits", "sweep") as sweep:
        tracker.log_params(sweep, {"epochs": 30})
        tracker.publish(TrialRun("trial 0", "digits#0", "FINISHED", started, ended, curves=fit.curves), parent=sweep)

Everything goes by explicit run ids: mlflow's stack of active runs is per thread, and several processes share a sweep's.
"""

from pipeline.tracking.environment import environment_tags
from pipeline.tracking.outages import Outage
from pipeline.tracking.runs import RunRecord
from pipeline.tracking.store import open_store
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.trials import TrialRun

__all__ = ["Outage", "RunRecord", "Tracker", "TrialRun", "connect", "environment_tags"]


def connect(experiment: str, in_project: bool = True, make: bool = True) -> Tracker:
    """Opens the store named by MLFLOW_TRACKING_URI, by default ./mlflow.db, and the experiment.

    Safe for processes that start at once. Raises UserError, within seconds, where the store cannot be used.

    Args:
        in_project: inside `mlflow run` (MLFLOW_RUN_ID is set) the experiment of that run is used, not `experiment`.
        make: what is missing is made; otherwise it is a UserError.
    """
    return Tracker(*open_store(experiment, in_project, make))
