"""The shell around every entry point: flags in, one-line errors and exit codes out."""

from __future__ import annotations

import dataclasses
import errno
import re
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from pipeline.errors import UserError

Config = TypeVar("Config")

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def parse(config_class: type[Config], args: Sequence[str] | None = None) -> Config:
    """Reads the flags of `config_class`; raises UserError where the object refuses its values.

    Booleans may stand alone or be followed by true / false, and lists may be separated by commas or blanks, because
    `mlflow run` hands over one quoted string for each parameter.
    """
    given = _spell_as_tyro(list(sys.argv[1:] if args is None else args), config_class)
    return tyro.cli(config_class, args=given, config=(tyro.conf.FlagConversionOff,), use_underscores=True)


def run(main: Callable[[], object], resume_hint: str = "") -> typing.NoReturn:
    """Calls `main` and exits: 0 done, 2 wrong input, 130 interrupted (SIGINT and SIGTERM alike)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"error: wanted room on the disk for {error.filename or 'results'}. Received: {error.strerror}. "
            "Way out: free some, or point --work_dir elsewhere",
            file=sys.stderr,
        )
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print(f"interrupted. {resume_hint}".rstrip(), file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _spell_as_tyro(args: list[str], config_class: type) -> list[str]:
    hints = typing.get_type_hints(config_class)
    kinds = {field.name: hints[field.name] for field in dataclasses.fields(config_class)}
    spelled: list[str] = []
    while args:
        flag, equals, value = args.pop(0).partition("=")
        kind = kinds.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else None
        values = [value] if equals else []
        while not equals and args and not args[0].startswith("--"):
            values.append(args.pop(0))
        if kind is bool:
            values = [value.capitalize() for value in values] or ["True"]
        elif typing.get_origin(kind) is tuple:
            values = [part for value in values for part in re.split(r"[,\s]+", value) if part]
        spelled += [flag, *values]
    return spelled
