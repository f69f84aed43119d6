"""The incident's folder and the program's own log in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from infdiag_tui.incident import LOG_NAME, log_to


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
