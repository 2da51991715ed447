from __future__ import annotations

import pytest

from pipeline.device import runtime
from pipeline.shell.errors import UserError


def test_files_are_named_as_npm_packs_them():
    assert [one.packed for one in runtime.PACKAGES] == ["litertjs-core-2.5.3.tgz", "litertjs-wasm-utils-2.5.3.tgz"]


def test_other_files_than_the_pinned_ones_are_refused(tmp_path):
    for one in runtime.PACKAGES:
        (tmp_path / one.packed).write_bytes(b"another")
    with pytest.raises(UserError, match=r"as it was published\. Received: .*core-2\.5\.3\.tgz, another file\."):
        runtime.unpack(tmp_path / "out", str(tmp_path), tmp_path / "cache")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_them_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^wanted litertjs-core-.*No such file.*Try: --runtime FOLDER with .*$"):
        runtime.unpack(tmp_path / "out", str(tmp_path), tmp_path / "cache")


def test_without_npm_the_way_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^wanted npm, to fetch @litertjs/core .*no such command\. Try: --runtime .*$"):
        runtime.unpack(tmp_path / "out", "", tmp_path / "cache")


def test_an_npm_that_fails_is_told(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match=r"^wanted npm to fetch .*Received: no network\..*$"):
        runtime.unpack(tmp_path / "out", "", tmp_path / "cache")
