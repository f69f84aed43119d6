"""Writing the draft: whole or not at all, private, never an older version over a newer."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infdiag_tui.report.writer import DraftFile, write_atomically


def test_the_file_is_replaced_whole_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_atomically(path, "one")
    write_atomically(path, "two é")
    assert path.read_text(encoding="utf-8") == "two é"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]


def test_a_failed_write_leaves_the_old_file_whole_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "report.md"
    write_atomically(path, "old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]


def test_an_older_version_never_overwrites_a_newer_one(tmp_path: Path) -> None:
    file = DraftFile(tmp_path / "report.md")
    file.save("new", 5)
    file.save("old", 4)
    assert file.path.read_text() == "new"


def test_text_that_is_no_valid_unicode_is_saved_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_atomically(path, "lone \ud800 surrogate")
    assert path.read_text() == "lone ? surrogate"
