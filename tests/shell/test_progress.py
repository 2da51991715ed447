"""What a person is shown."""

from __future__ import annotations

import time

from rich.table import Table

from pipeline.shell import progress


def test_brackets_and_colons_of_names_are_text(capsys):
    table = Table("the name of a class", title="dogs [v2]")
    table.add_row("[/x] :dog:")
    progress.show(table)
    printed = capsys.readouterr().out
    assert "dogs [v2]" in printed
    assert "[/x] :dog:" in printed


def test_a_finished_bar_says_what_it_was_of(capsys):
    with progress.bar("features [/x]", total=2, unit="img") as advance:
        advance(2)
    assert "features [/x] " in capsys.readouterr().err


def test_the_clock_of_a_late_bar_begins_with_the_first_advance(capsys):
    with progress.bar("features", total=2, unit="img", late=True) as advance:
        time.sleep(1.1)
        advance(0)
        advance(2)
    assert "0:00:00" in capsys.readouterr().err


def test_no_bars_are_shown_where_they_would_mislead(capsys):
    with progress.no_bars(), progress.bar("features", total=2, unit="img") as advance:
        advance(2)
    assert capsys.readouterr().err == ""
    with progress.bar("features", total=1, unit="img"):
        pass
    assert "features" in capsys.readouterr().err


def test_bars_that_overlap_are_shown_together(capsys):
    with progress.bar("first", total=1, unit="img") as one, progress.bar("second", total=2, unit="epochs") as two:
        one(1)
        two(2)
    shown = capsys.readouterr().err
    assert shown.index("first") < shown.index("second")


def test_notes_may_go_elsewhere(capsys):
    received: list[str] = []
    with progress.notes_to(received.append):
        progress.note("out of memory")
    progress.note("at home")
    assert received == ["out of memory"]
    assert capsys.readouterr().err == "at home\n"
