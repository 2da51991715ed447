"""How a configuration refuses what it cannot be made of."""

from __future__ import annotations

from pipeline.errors import UserError


def require(holds: bool, wanted: str, received: object, way_out: str = "") -> None:
    """Raises UserError, in the one form that all refusals have, unless it `holds`."""
    if not holds:
        raise UserError(f"wanted {wanted}. Received: {received!r}." + (f" Way out: {way_out}." if way_out else ""))
