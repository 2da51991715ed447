"""What MLflow holds of sweeps, as tidy pandas frames.

ids = choose(tracker, ["1a2b3c"])    # or [] for the newest
tables = read(tracker, ids)
tables.cells[["cell", "mult_adds", "test_top1"]]
"""

from reports.tables.choice import choose, short_name, sweeps
from reports.tables.read import Tables, read

__all__ = ["Tables", "choose", "read", "short_name", "sweeps"]
