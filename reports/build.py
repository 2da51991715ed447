"""What MLflow holds of a sweep, as one page.

    python -m reports.build                  # the newest sweep with results
    python -m reports.build --runs A,B       # two sweeps in the same figures

writes report.html, which opens from disk with no network, and logs it on the run of the (first) sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import cli, tracking
from pipeline.config import ReportConfig
from pipeline.tracking import Tracker
from reports import page, tables


def build(tracker: Tracker, runs: Sequence[str], output: Path) -> Path:
    """Reads the sweeps `runs`, all of the experiment's if need be, and writes the page. Returns its path.

    Raises UserError where there is no such sweep, or none at all.
    """
    sweeps = tables.choose(tracker, runs)
    text = page.render(tables.read(tracker, sweeps))
    tracker.log_text(sweeps[0], text, "report.html")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return output


def main() -> None:
    """Builds the page that the flags ask for."""
    config = cli.parse(ReportConfig)
    tracker = tracking.connect(config.experiment)
    if tracker.adopts and not tables.sweeps(tracker):  # `mlflow run` of a project whose sweeps were started without it
        tracker = tracking.connect(config.experiment, in_project=False)
    print(f"The report: {build(tracker, config.runs, Path(config.output))}")


if __name__ == "__main__":
    cli.run(main)
