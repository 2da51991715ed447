"""Benchmarks, run by `make bench`."""

import pipeline  # noqa: F401  (before tensorflow, to keep its start-up messages away)
