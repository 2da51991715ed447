"""What can be set of a test, and of the page about what was found."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.settings import DataConfig
from pipeline.config.spelling import spell
from pipeline.shell.errors import require


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Which trained run is tested."""

    run_id: str = ""
    """the MLflow run that holds the model; it is tested on the data that it was trained for"""
    dataset: str = ""
    """folder:PATH, if a folder of pictures is not where the run found it"""
    labels: str = ""
    """its table of labels, if that is not where the run found it"""
    data_dir: str = ""
    """where TFDS keeps the data set, if that is not where the run found it"""
    work_dir: str = ""
    """where feature tables are kept, if not where the run kept them"""
    experiment: str = DataConfig.experiment

    def __post_init__(self) -> None:
        require(bool(self.run_id), "the id of a finished train or cell run", self.run_id, "see it in `mlflow ui`")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which sweeps a report shows, and where it goes."""

    runs: tuple[str, ...] = ()
    """MLflow runs of sweeps, shown side by side; none: the newest sweep with results"""
    output: str = "report.html"
    """the page, one file that needs no other"""
    margin: float = 1.0
    """points of top-1 that a cheaper cell may lose to the best, at most, to be called enough"""
    experiment: str = DataConfig.experiment

    def __post_init__(self) -> None:
        hint = "such as --output report.html"
        require(self.output.endswith((".html", ".htm")), "an output that ends in .html", self.output, hint)
        require(len(set(self.runs)) == len(self.runs), "each run once", spell(self.runs), "such as --runs A,B")
        check_margin(self.margin)


def check_margin(points: float) -> None:
    """Raises UserError where no accuracy could be lost by so much."""
    require(0 < points < 100, "a margin between 0 and 100 points, both excluded", points, "such as --margin 1.0")
