"""What a bench measured beside what is allowed."""

from __future__ import annotations


def kept(what: str, measured: float, most: float) -> bool:
    """Prints both; whether the one is below the other."""
    below = measured < most
    print(f"{what}: {measured:.2f}, limit {most:g}: {'met' if below else 'NOT MET'}")
    return below
