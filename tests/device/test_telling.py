from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.device import telling

NAMES = ("cat", "none", 'a "dog", big', "\udce9")
SURE, UNSURE = np.array([0.05, 0.8, 0.1, 0.05], np.float32), np.array([0.3, 0.2, 0.1, 0.4], np.float32)


@pytest.fixture
def told(capsys):
    """What is printed of two pictures."""

    def of(shown: telling.Shown, count: int = 2) -> str:
        tell = telling.teller(shown, NAMES, count, 0.5)
        tell.one(Path("a=1, é.jpg"), SURE)
        tell.one(Path("b\udcff.jpg"), UNSURE)
        tell.end()
        return capsys.readouterr().out

    return of


def test_json_lines(told):
    first, second = map(json.loads, told("jsonl").splitlines())
    assert first["picture"] == "a=1, é.jpg"
    assert first["answer"] == "none"  # a class of that name
    assert first["top"][0] == {"class": "none", "probability": 0.8}
    assert len(first["top"]) == 2
    assert second["answer"] is None
    assert second["picture"] == "b\udcff.jpg"


def test_csv(told):
    head, first, second = csv.reader(told("csv", 3).splitlines())
    assert head == ["picture", "answer", *(f"{name}_{rank}" for rank in "123" for name in ("class", "probability"))]
    assert first == ["a=1, é.jpg", "none", "none", "0.800000", 'a "dog", big', "0.100000", "cat", "0.050000"]
    assert second[1] == ""


def test_a_table(told):
    text = told("table", 9)
    assert telling.NONE in text
    assert "80.0" in text
    assert 'a "dog", big' in text
