"""Where the pictures of a folder are, and which class and part each is of, told by its folders (or see labelled.py)."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets import decoding
from pipeline.shell.errors import UserError

LAYOUT = "PATH/<class>/*.jpg, or PATH/train/<class>/*.jpg and PATH/test/<class>/*.jpg"
PARTS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
_PART = re.compile(r"(?:seg[_-])?([a-z]+?)(?:[_ -]?(?:set|data|images|imgs))?")  # training_set, seg_test
# By content everything is known that is whole; these endings make a picture of what is not, so that it is named.
ENDINGS = frozenset(
    [".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"]
)
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # with all that begins with a dot


@dataclass(frozen=True)
class Listed:
    """One picture.

    Attributes:
        label: its class, as text that can be printed.
        part: "train", "val" or "test"; empty where nobody has dealt it.
        group: what it must stay together with when it is dealt; empty for itself.
    """

    file: Path
    label: str
    part: str = ""
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """All pictures of a folder.

    Attributes:
        root: what their names are told from.
        passed_over: ending -> number of files that are no pictures, or none that can be read here.
        notes: what a person should know, a line each.
    """

    root: Path
    pictures: tuple[Listed, ...]
    passed_over: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def of(self, part: str) -> list[Listed]:
        """In the order of classes and names."""
        return [one for one in self.pictures if one.part == part]


@dataclass
class Files:
    """Tells pictures from other files, and counts these."""

    passed_over: Counter[str] = field(default_factory=Counter)

    def pictures(self, folder: Path) -> list[Path]:
        """All below `folder`, however deep, in order."""
        return [file for file in walk(folder) if self.is_picture(file)]

    def is_picture(self, file: Path) -> bool:
        """By its first bytes; what has a picture's ending counts as one that is damaged."""
        kind = _kind(file)
        if kind == "HEIC" and not decoding.reads_heic():
            self.passed_over[f"{file.suffix.lower()}, which wants the package {decoding.EXTRA}"] += 1
            return False
        if kind or file.suffix.lower() in ENDINGS:
            return True
        self.passed_over[file.suffix.lower() or "no ending"] += 1
        return False


def by_folders(root: Path) -> Listing:
    """Of PATH/<class>/ or PATH/{train,val,test}/<class>/, in any capitals; such a folder one level down is entered.

    Raises UserError, with what was seen, where the folders are laid out otherwise.
    """
    files, notes = Files(), []
    inner = _unpacked(root)
    if inner != root:
        notes.append(f"the pictures are taken from {inner}")
    parts = _parts(inner)
    dealt = {part: folder for part, folder in parts.items() if any(map(_holds_files, _folders(folder)))}
    _refuse_detection(parts)
    if "train" in dealt or "test" in dealt:
        _require_one_each(inner)
        _require_classes_in(inner, parts, dealt)
        if beside := [printable(one.name) for one in _folders(inner) if not part_of(one.name)]:
            notes.append(f"passed over, since they lie beside {' and '.join(dealt)}: {', '.join(beside)}")
        pictures = [one for part, folder in dealt.items() for one in _classes(folder, files, part)]
        _require_same(pictures, inner)
    elif parts and len(parts) == len(_folders(inner)):
        raise _flat(inner, parts)
    else:
        pictures = _classes(inner, files, "")
        notes += _same_inside(inner)
    return Listing(root, tuple(pictures), files.passed_over, tuple(notes))


def part_of(name: str) -> str:
    """ "train", "val" or "test" by the name of a folder or a word in a table, in any capitals; empty for any other."""
    named = _PART.fullmatch(name.strip().lower())
    return PARTS.get(named[1], "") if named else ""


def printable(name: str) -> str:
    """A name of a file system as text: its bytes, where they are no UTF-8, taken for Latin-1; composed (NFC)."""
    raw = os.fsencode(name)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return unicodedata.normalize("NFC", text)


def _classes(folder: Path, files: Files, part: str) -> list[Listed]:
    """The pictures of every class folder, in order; two whose names differ in normalisation alone are one class."""
    folders = _folders(folder)
    found, empty = [], []
    for one in folders:
        pictures = files.pictures(one)
        found += [Listed(file, printable(one.name), part) for file in pictures]
        if not pictures:
            empty.append(one)
    names = {printable(one.name) for one in folders}
    if len(names) < 2:
        received = f"the one folder {folders[0].name!r}" if folders else "no class folder"
        raise UserError(
            f"wanted at least two class folders in {folder}. Received: {received}. Try: lay it out as {LAYOUT}; "
            "or name a table of labels with --labels FILE.csv"
        )
    if lacking := sorted({printable(one.name) for one in empty} - {one.label for one in found}):
        wants = any(decoding.EXTRA in ending for ending in files.passed_over)
        raise UserError(
            f"wanted pictures in every class folder. Received: none in {folder / lacking[0]}"
            + (f", but HEIC. Try: {decoding.GET_EXTRA}" if wants else ". Try: add some, or remove the folder")
        )
    return sorted(found, key=lambda one: (one.label, one.file))


def _require_classes_in(root: Path, parts: Mapping[str, Path], dealt: Mapping[str, Path]) -> None:
    for part in ("train", "test"):
        if part in parts and part not in dealt:
            other = dealt["test" if part == "train" else "train"]
            raise UserError(
                f"wanted class folders in {parts[part]}, as in {other}. Received: files without a class. "
                f"Try: --dataset folder:{other}, a part of which is kept for the test; or --labels FILE.csv"
                + _tables_seen(root)
            )
    if "train" not in dealt:
        raise UserError(
            f"wanted class folders in {root / 'train'}. Received: none, but such in {dealt['test']}. "
            f"Try: lay it out as {LAYOUT}"
        )


def _flat(root: Path, parts: Mapping[str, Path]) -> UserError:
    names = " and ".join(f"{folder.name}/" for folder in parts.values())
    return UserError(
        f"wanted class folders in {root}. Received: {names} with files that have no class. "
        f"Try: --labels FILE.csv with the columns file and label{_tables_seen(root)}; or lay it out as {LAYOUT}"
    )


def _tables_seen(root: Path) -> str:
    seen = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.csv"))
    return f" (there is {', '.join(seen[:3])})" if seen else ""


def _require_same(pictures: Sequence[Listed], root: Path) -> None:
    """A class of the test must have been trained on, and the reverse; val may lack some."""
    train, val, test = ({one.label for one in pictures if one.part == part} for part in ("train", "val", "test"))
    differences = [
        f"{', '.join(sorted(found))} only in {name}"
        for name, found in (("train", train - test if test else set()), ("val", val - train), ("test", test - train))
        if found
    ]
    if differences:
        raise UserError(
            f"wanted the same classes in {root}/train and {root}/test. Received: {'; '.join(differences)}. "
            "Try: rename, add or remove these class folders"
        )


def _unpacked(root: Path) -> Path:
    """An archive's own folder, where `root` holds nothing but that."""
    folders = _folders(root)
    alone = len(folders) == 1 and not any(_kind(path) for path in root.iterdir() if path.is_file())
    if alone and not part_of(folders[0].name) and len(_folders(folders[0])) >= 2:
        return folders[0]
    return root


def _parts(root: Path) -> dict[str, Path]:
    """part -> folder; Kaggle's `valid`, `Test`, `training_set` and `seg_train/seg_train` as well."""
    found = {}
    for one in _folders(root):
        if part := part_of(one.name):
            inside = _folders(one)
            found[part] = inside[0] if len(inside) == 1 and part_of(inside[0].name) == part else one
    return found


def _require_one_each(root: Path) -> None:
    """Raises UserError where two folders are one part: the pictures of one of them would be left out."""
    seen: dict[str, str] = {}
    for one in _folders(root):
        other = seen.setdefault(part_of(one.name), one.name)
        if part_of(one.name) and other != one.name:
            raise UserError(
                f"wanted one folder for {part_of(one.name)} in {root}. Received: {other} and {one.name}. "
                "Try: put them together, or remove one"
            )


def _refuse_detection(parts: Mapping[str, Path]) -> None:
    """Raises UserError where a part is an export for object detection."""
    for folder in parts.values():
        inside = {one.name.lower() for one in _folders(folder)}
        if inside == {"images", "labels"} or any(folder.glob("_annotations.*")) or any(folder.glob("_classes.csv")):
            raise UserError(
                f"wanted class folders in {folder}. Received: an export for object detection, or with several labels "
                "for a picture. Try: export it for classification, at Roboflow as 'Folder Structure'"
            )


def _same_inside(root: Path) -> list[str]:
    """A note where all class folders hold the same folders, which may be the classes."""
    inside = [{one.name for one in _folders(folder)} for folder in _folders(root)]
    if len(inside) < 2 or len(inside[0]) < 2 or any(one != inside[0] for one in inside):
        return []
    names = ", ".join(map(printable, sorted(inside[0])[:3]))
    return [
        f"each class folder of {root} holds the same folders, {names}: if these are the classes, lay the pictures out "
        f"as {LAYOUT}"
    ]


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_clutter(entry))
    except OSError as error:
        raise UserError(
            f"wanted to read {folder}. Received: {error.strerror}. Try: allow it, or remove that folder"
        ) from error


def _holds_files(folder: Path) -> bool:
    return next(walk(folder), None) is not None


def walk(folder: Path) -> Iterator[Path]:
    """Every file below, in order, without hidden ones and clutter."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"wanted to read {folder}. Received: {error.strerror}. Try: allow it, or remove that folder"
        ) from error
    for entry in entries:
        if _is_clutter(entry):
            continue
        if entry.is_dir():
            if entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve()):
                raise UserError(
                    f"wanted folders of pictures. Received: {entry}, a link that leads back to {entry.resolve()}. "
                    "Try: remove the link"
                )
            yield from walk(entry)
        elif entry.is_file() or not entry.exists():  # a link that leads nowhere is named later; no pipes or devices
            yield entry


def _is_clutter(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in _CLUTTER


def _kind(file: Path) -> str:
    """Empty for what cannot be read: a broken link with a picture's ending counts as a picture, and is named then."""
    try:
        with file.open("rb") as opened:
            return decoding.kind_of(opened.read(decoding.HEADER))
    except OSError:
        return ""
