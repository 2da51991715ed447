"""That the documents tell of every setting, and of none that there is not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pipeline import config
from tests import flags

ROOT = Path(__file__).parents[1]
TEXTS = {
    path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
CONFIGS = [getattr(config, name) for name in config.__all__ if name.endswith("Config")]


def test_the_page_of_settings_is_what_the_dataclasses_say():
    assert TEXTS["settings.md"] == flags.page(), "python -m tests.flags writes it anew"


@pytest.mark.parametrize("of", CONFIGS)
def test_every_flag_stands_in_a_document(of):
    told = set(re.findall(r"--(\w+)", " ".join(TEXTS.values())))
    assert {field.name for field in dataclasses.fields(of)} <= told
