"""What can be set of the commands that write for readers: a sweep's page, and the tables of README.md and docs/."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.settings import DataConfig
from pipeline.config.spelling import spell
from pipeline.shell.errors import require


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which sweeps a report shows, and where it goes."""

    runs: tuple[str, ...] = ()
    """MLflow runs of sweeps, shown side by side; none: the newest sweep with results"""
    output: str = "report.html"
    """the page, one file that needs no other"""
    margin: float = 1.0
    """points of top-1 that a cheaper cell may lose to the best, at most, to be called enough"""
    device_rows: str = ""
    """CSV of what was measured on devices, as the page of pipeline.export --web copies it"""
    experiment: str = DataConfig.experiment
    """MLflow experiment that holds them"""

    def __post_init__(self) -> None:
        hint = "such as --output report.html"
        require(self.output.endswith((".html", ".htm")), "an output that ends in .html", self.output, hint)
        require(len(set(self.runs)) == len(self.runs), "each run once", spell(self.runs), "such as --runs A,B")
        check_margin(self.margin)


def check_margin(points: float) -> None:
    """Raises UserError where no accuracy could be lost by so much."""
    require(0 < points < 100, "a margin between 0 and 100 points, both excluded", points, "such as --margin 1.0")


@dataclass(frozen=True, kw_only=True)
class ResultsConfig:
    """Writes the tables of README.md and docs/ anew, out of reports/results.csv and the flags' own docstrings."""

    check: bool = False
    """write nothing; exit code 1 where a table differs, which is named"""
    add: str = ""
    """MLflow run of a tested cell, whose numbers are put into results.csv first"""
    table: str = ""
    """of results.csv, into which they go, such as scores"""
    row: str = ""
    """first cells of their row, such as 'Stanford Dogs | 1.0-224 | noise'; a row that is there already is replaced"""
    experiment: str = DataConfig.experiment
    """MLflow experiment that holds the run"""

    def __post_init__(self) -> None:
        asked = f"--add {self.add} --table {self.table} --row {self.row}"
        hint = "such as --add RUN_ID --table scores --row 'Stanford Dogs | 1.0-224 | noise'"
        together = bool(self.add) == bool(self.table) == bool(self.row)
        require(together, "--add, --table and --row together, or none of them", asked, hint)
        require(not (self.add and self.check), "--check or --add", "both", "add first")
