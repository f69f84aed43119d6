"""The incident's folder and the program's own log in it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from infdiag_tui import incident
from infdiag_tui.incident import LOG_NAME, create_folder, log_to


@pytest.fixture(autouse=True)
def _same_logging_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        with suppress(OSError):  # what the full disk did not take is still to be written
            handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_full_disk_prints_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / LOG_NAME).symlink_to("/dev/full")  # every write: no space left on device
    log_to(tmp_path)
    logging.getLogger("infdiag_tui").error("the draft could not be saved")
    assert capsys.readouterr().err == ""


def test_only_the_owner_may_read_folder_and_log_also_after_the_log_was_rotated(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incident, "LOG_BYTES", 1_000)
    umask = os.umask(0o022)
    try:
        folder = create_folder(tmp_path / "incidents", "m", 0.0)
        log_to(folder)
        for number in range(100):
            logging.getLogger("infdiag_tui.test").warning("message %d", number)
    finally:
        os.umask(umask)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.iterdir())}
    assert modes == {folder.name: 0o700, LOG_NAME: 0o600, f"{LOG_NAME}.1": 0o600}
