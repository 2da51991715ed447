"""The one exception that a person is meant to read."""


class UserError(Exception):
    """Wrong input or a missing resource: says what was wanted, what came and what to do next, in one line.

    Entry points print it without a traceback and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """What an error says, cut to one line of 300 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def require(holds: bool, wanted: str, received: object, hint: str = "") -> None:
    """Raises UserError, in the one form that all refusals have, unless it `holds`."""
    if not holds:
        raise UserError(f"wanted {wanted}. Received: {received!r}." + (f" Try: {hint}." if hint else ""))
