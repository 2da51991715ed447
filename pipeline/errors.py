"""The one exception that a person is meant to read."""


class UserError(Exception):
    """Wrong input or a missing resource: says what was wanted, what came and what to do next, in one line.

    Entry points print it without a traceback and exit with code 2.
    """
