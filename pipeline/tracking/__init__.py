"""Everything that MLflow keeps of a run; the only folder that imports mlflow.

    tracker = connect("alpharho")
    with tracker.run("sweep digits", "sweep") as sweep:
        trial = tracker.start_trial("trial 0", parent=sweep, params={"learning_rate": 1e-3})
        tracker.end(trial, curves=fit.curves)

Everything goes by explicit run ids: mlflow's stack of active runs is per thread, and a wave has many runs open at once.
"""

from pipeline.tracking.environment import environment_tags
from pipeline.tracking.store import open_store
from pipeline.tracking.tracker import RunRecord, Tracker

__all__ = ["RunRecord", "Tracker", "connect", "environment_tags"]


def connect(experiment: str) -> Tracker:
    """Opens the store named by MLFLOW_TRACKING_URI, by default ./mlflow.db, and the experiment, making what is missing.

    Inside `mlflow run` (MLFLOW_RUN_ID is set) the experiment of that run is used instead of `experiment`. Safe for
    processes that start at once. Raises UserError, within seconds, where the store cannot be used.
    """
    return Tracker(*open_store(experiment))
