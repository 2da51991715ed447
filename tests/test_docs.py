"""Every flag of every entry point stands in README.md or docs/."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from pipeline import config
from reports import flags

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SOURCES = [path for package in ("pipeline", "tuning", "reports") for path in sorted((ROOT / package).rglob("*.py"))]


def parsed(source: str) -> list[str]:
    """The classes that a module reads from its command line: X of `cli.parse(X, argv)`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    of_parse = [call.args for call in calls if ast.unparse(call.func) == "cli.parse" and len(call.args) == 2]
    return [ast.unparse(first) for first, second in of_parse if ast.unparse(second) == "argv"]


def flags_in(text: str) -> set[str]:
    """Whole ones: --labels is not in --labels_of; and words in capitals that stand in a table of flags, for lists."""
    return set(re.findall(r"(?<![\w-])--\w+(?![\w-])|(?<=\| `)[A-Z]+(?=` \|)", text))


ENTRY_POINTS = {
    f"{path.relative_to(ROOT)}": getattr(config, name)
    for path in SOURCES
    for name in parsed(path.read_text(encoding="utf-8"))
}


def test_entry_points_are_found():
    starts = {str(path.relative_to(ROOT)) for path in SOURCES if "cli.run(main" in path.read_text(encoding="utf-8")}
    assert set(ENTRY_POINTS) == starts


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_flag_stands_in_a_document(name: str) -> None:
    documented = flags_in("\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS))
    config_class = ENTRY_POINTS[name]
    assert {flags.spelled(config_class, field.name) for field in dataclasses.fields(config_class)} - documented == set()


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_class_of_flags_has_its_table(name: str) -> None:
    """With those that it builds on; tests/reports/test_results.py holds the tables to the classes."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    classes = [one for one in ENTRY_POINTS[name].__mro__ if dataclasses.is_dataclass(one)]
    assert [one.__name__ for one in classes if f"<!-- flags: {one.__name__} -->" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_sections_that_are_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)(?:#([\w-]+))?\)", document.read_text(encoding="utf-8"))
    targets = [((document.parent / path) if path else document, section) for path, section in links]
    assert [path for path, _section in targets if not path.exists()] == []
    assert [target for target in targets if target[1] and target[1] not in sections(target[0])] == []


def sections(path: Path) -> set[str]:
    """The anchors of a document's heads, as GitHub spells them."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_flag_is_a_whole_word():
    text = "`--labels_of` and x--seed, --wave-size, but (`--folds`), --aim=top1. PATH, | `FILES` | text"
    assert flags_in(text) == {"--labels_of", "--folds", "--aim", "FILES"}
