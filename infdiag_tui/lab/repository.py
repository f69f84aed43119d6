"""The shared folders of a deployment: the model repository that pods mount, and the release of the serving code."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infdiag_tui.lab import modelfile
from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.world import WEIGHTS

MODEL_FILE = "model.json"
CODE_FILE = "features.py"
_SOURCE = Path(__file__).parent / "server" / CODE_FILE
_DAY_S = 86_400.0
USUAL_AGE_DAYS = 12.0


class Repository:
    """The model's file as it was released, in `repository/`, and the code, in `release/`."""

    def __init__(self, folder: Path, dialect: Dialect, seed: int) -> None:
        self._dialect = dialect
        self._seed = seed
        self.models = folder / "repository"
        self.release = folder / "release"
        for place in (self.models, self.release):
            place.mkdir(exist_ok=True)
        self.document = self.model()
        self.age_days = USUAL_AGE_DAYS
        self.write()

    @property
    def code_path(self) -> Path:
        """The serving code's file."""
        return self.release / CODE_FILE

    @property
    def expected_hash(self) -> str:
        """The sha256 of the file that is meant to be deployed."""
        return hashlib.sha256(modelfile.text(self.document).encode()).hexdigest()

    def model(self, *, version: str = "", weights: Sequence[float] = WEIGHTS) -> dict[str, Any]:
        """A model file's content; what is not given is as in the right one."""
        trained_at = datetime.fromtimestamp(time.time() - USUAL_AGE_DAYS * _DAY_S, UTC).strftime("%Y-%m-%d")
        names = self._dialect
        return modelfile.document(names.app, version or names.version, trained_at, self._seed, weights=weights)

    def write(self) -> None:
        """Puts the released model and code in place."""
        self.put_model(self.models, self.document, self.age_days)
        self.put_code(_SOURCE.read_text(encoding="utf-8"))

    @staticmethod
    def put_model(folder: Path, document: dict[str, Any], age_days: float) -> None:
        """Writes a model file of that age, at once: a reader sees the old or the new one."""
        folder.mkdir(exist_ok=True)
        path = folder / f".{MODEL_FILE}.new"
        path.write_text(modelfile.text(document), encoding="utf-8")
        trained_at = time.time() - age_days * _DAY_S
        os.utime(path, (trained_at, trained_at))
        path.rename(folder / MODEL_FILE)

    def put_code(self, source: str) -> None:
        """Writes the serving code."""
        path = self.release / f".{CODE_FILE}.new"
        path.write_text(source, encoding="utf-8")
        path.rename(self.code_path)

    def code(self) -> str:
        """The serving code as it is."""
        return self.code_path.read_text(encoding="utf-8")
