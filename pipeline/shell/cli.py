"""The shell around every entry point: flags in, one-line errors and exit codes out."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import tyro

from pipeline.shell import folders
from pipeline.shell.errors import STORAGE_ERRORS, TEMPORARY_HINT, UserError, is_temporary

Config = TypeVar("Config")

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def parse(config_class: type[Config], args: Sequence[str] | None = None) -> Config:
    """Reads the flags of `config_class`.

    Raises UserError where a flag is unknown, its value is of another kind, or the object refuses it.
    Booleans may stand alone or be followed by true / false, and lists may be separated by commas or blanks, because
    `mlflow run` hands over one quoted string for each parameter.
    """
    given = _spell_as_tyro(list(sys.argv[1:] if args is None else args), config_class)
    said = io.StringIO()
    try:
        # tyro frames what it says in a box of several lines; its help may stay as it is.
        with contextlib.redirect_stderr(said):
            return tyro.cli(config_class, args=given, config=(tyro.conf.FlagConversionOff,), use_underscores=True)
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise UserError(f"{_unboxed(said.getvalue())}. Try: --help lists every flag") from None


def run(main: Callable[[], object], resume_hint: str = "") -> typing.NoReturn:
    """Calls `main` in the folder that the command was called in (see folders.py), and exits.

    Exit codes: 0 done, 2 wrong input, 130 interrupted (SIGINT and SIGTERM alike).
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        started, home = Path.cwd(), folders.home()
        os.chdir(home)
        main()
        if home != started:
            print(f"Results are in {home}, unless a flag named another folder.")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:
        in_temporary = is_temporary(error)
        if error.errno not in STORAGE_ERRORS and not in_temporary:
            raise
        hint = TEMPORARY_HINT if in_temporary else "put that right, or point --work_dir at another folder"
        wanted = error.filename or ("temporary files" if in_temporary else "results")
        print(f"error: wanted to write {wanted}. Received: {error.strerror}. Try: {hint}.", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one, while Python ends, would change the exit code
            signal.signal(number, signal.SIG_IGN)
        print(f"interrupted. {resume_hint}".rstrip(), file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _unboxed(text: str) -> str:
    """The first paragraph inside tyro's frame, as one line."""
    lines = [line.strip("│ ") for line in text.splitlines() if not line.startswith(("╭", "╰"))]
    paragraph = lines[: next((number for number, line in enumerate(lines) if line.startswith("─")), len(lines))]
    return " ".join(" ".join(paragraph).split()).rstrip(".")


def _spell_as_tyro(args: list[str], config_class: type) -> list[str]:
    hints = typing.get_type_hints(config_class)
    kinds = {field.name: hints[field.name] for field in dataclasses.fields(config_class)}
    words: list[str] = []  # of a list that stands alone, such as pictures; an "=" may be a part of one
    spelled: list[str] = []
    while args:
        if not args[0].startswith("--"):
            words.append(args.pop(0))
            continue
        flag, equals, value = args.pop(0).partition("=")
        kind = kinds.get(flag.removeprefix("--").replace("-", "_"))
        is_list = kind is None or typing.get_origin(kind) is tuple
        values = [value] if equals else []
        while not equals and args and not args[0].startswith("--") and (is_list or not values):
            values.append(args.pop(0))
        if kind is bool:
            values = [value.capitalize() for value in values] or ["True"]
        elif is_list and kind is not None:
            values = [part for value in values for part in re.split(r"[,\s]+", value) if part]
        spelled += [flag, *values]
    return [*words, *spelled]  # wherever they stood: the parser takes them from one place alone
