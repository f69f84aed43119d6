"""Writing the draft: whole or not at all, private, never an older version over a newer."""

from __future__ import annotations

import errno
import os
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


def test_a_report_of_an_earlier_run_in_the_same_folder_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("written at 3 a.m.")
    file = DraftFile(path)
    file.save("new", 0)
    file.save("newer", 1)
    assert path.read_text() == "newer"
    (kept,) = (one for one in tmp_path.iterdir() if one != path)
    assert kept.match("report-*Z.md")
    assert kept.read_text() == "written at 3 a.m."


def test_what_another_editor_wrote_into_the_report_is_kept_each_time(tmp_path: Path) -> None:
    file = DraftFile(tmp_path / "report.md")
    file.save("mine", 0)
    for number in range(3):
        file.path.write_text(f"theirs {number}")
        os.utime(file.path, (1_700_000_000, 1_700_000_000))
        file.save(f"mine {number}", number + 1)
        assert file.path.read_text() == f"mine {number}"
    kept = {one.name: one.read_text() for one in tmp_path.iterdir() if one != file.path}
    assert kept == {
        "report-20231114T221320Z.md": "theirs 0",
        "report-20231114T221320Z-2.md": "theirs 1",
        "report-20231114T221320Z-3.md": "theirs 2",
    }


def test_a_report_that_was_deleted_is_written_again_though_nothing_changed(tmp_path: Path) -> None:
    file = DraftFile(tmp_path / "report.md")
    file.save("words", 3)
    file.path.unlink()
    file.save("words", 3)
    assert file.path.read_text() == "words"


def test_a_save_with_nothing_new_leaves_what_another_editor_wrote(tmp_path: Path) -> None:
    file = DraftFile(tmp_path / "report.md")
    file.save("mine", 0)
    file.path.write_text("theirs")
    file.save("mine", 0)
    assert file.path.read_text() == "theirs"


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOTSUP])
def test_a_report_is_kept_on_a_file_system_without_hard_links(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: int,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "report.md"
    path.write_text("written at 3 a.m.")
    DraftFile(path).save("new", 0)
    assert {one.read_text() for one in tmp_path.iterdir()} == {"new", "written at 3 a.m."}
