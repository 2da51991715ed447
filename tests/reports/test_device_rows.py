from __future__ import annotations

import pytest

from pipeline.shell.errors import UserError
from reports import device_rows

HEAD = "cell,precision,p50_ms,p95_ms,runs,device\n"


def test_rows_of_several_devices_are_read_as_they_were_copied(tmp_path):
    phone = 'mobilenet_0.5_96,int8,0.700,11.25,50,"A phone, of 2026"\n'
    (tmp_path / "rows.csv").write_text(f"{HEAD}{phone}{HEAD}mobilenet_0.75_192,float16,120.4,130,50,<b>other</b>\n")
    found = device_rows.read(str(tmp_path / "rows.csv"))
    assert found.rows == [
        ["A phone, of 2026", "0.5-96", "int8", "0.7", "11", "50"],
        ["<b>other</b>", "0.75-192", "float16", "120", "130", "50"],
    ]
    assert len(found.titles) == 6


def test_without_a_file_there_are_none():
    assert device_rows.read("").rows == []


@pytest.mark.parametrize(
    "text", ["a,b\n", f"{HEAD}c,int8,fast,1,50,x\n", f"{HEAD}c,int8,nan,1,50,x\n", f"{HEAD}c,int8,1,2,many,x\n", None]
)
def test_what_is_no_such_table_is_refused_in_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(UserError, match=r"^wanted rows of cell,precision,.*rows\.csv \(.+\)\. Try: .*$"):
        device_rows.read(str(tmp_path / "rows.csv"))
