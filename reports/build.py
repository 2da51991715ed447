"""What MLflow holds of a sweep, as one page.

    python -m reports.build                  # the newest sweep with results
    python -m reports.build --runs A,B       # two sweeps in the same figures

writes report.html, which opens from disk with no network, and logs the page of a single sweep on its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import ReportConfig
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError, first_line

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

ARTIFACT = "report.html"


def build(
    tracker: Tracker, runs: Sequence[str], output: Path, margin: float = ReportConfig.margin, measured: str = ""
) -> tuple[Path, list[str]]:
    """Writes the page about the sweeps `runs`, or about the newest one with results.

    Args:
        measured: CSV file with rows of devices, see device_rows.

    Returns its path, `output`, and what it says first.

    The page of a single sweep is logged on its run as well, where MLflow takes it.

    Raises UserError where there is no such sweep, or none at all, or `output` cannot be written.
    """
    from reports import answer, device_rows, page, tables  # here, since plotly and mlflow take seconds

    of_devices = device_rows.read(measured)
    sweeps = tables.choose(tracker, runs)
    found = tables.read(tracker, sweeps, margin=margin)
    text = page.render(found, of_devices)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"wanted to write {output}. Received: {error.strerror}. "
            "Try: another path: python -m reports.build --output PATH.html"
        ) from error
    if len(sweeps) == 1:
        try:
            tracker.log_text(sweeps[0], text, ARTIFACT)
        except (UserError, OSError) as error:  # such as artifacts that only another machine can reach
            progress.note(f"the page could not be logged in MLflow: {first_line(error)}")
    return output, answer.headline(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Builds the page that the flags ask for."""
    config = cli.parse(ReportConfig, argv)
    # These take seconds: what is wrong with the flags was said before.
    from pipeline import tracking
    from reports import tables

    tracker = tracking.connect(config.experiment, make=False)
    if tracker.adopts and not tables.sweeps(tracker):  # `mlflow run` of a project whose sweeps were started without it
        tracker = tracking.connect(config.experiment, in_project=False, make=False)
    page, answers = build(tracker, config.runs, Path(config.output), config.margin, config.device_rows)
    print("\n".join([*answers, f"The report: {page}"]))


if __name__ == "__main__":
    cli.run(main)
