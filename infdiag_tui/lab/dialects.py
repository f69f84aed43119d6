"""The names that a lab gives to things: the same system may call itself by any of the dialects in `dialects.toml`."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("dialects.toml")
_JSON_FORM = "json"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names of app, cluster, metrics and log texts."""

    app: str
    label: str
    namespace: str
    container: str
    nodes: tuple[str, ...]
    image: str
    command: tuple[str, ...]
    version: str
    older_version: str
    predict_path: str
    logger: str
    gateway: str
    store: str
    log_form: str
    metrics: Mapping[str, str]
    words: Mapping[str, str]

    @property
    def selector(self) -> str:
        """The label selector of the app's pods."""
        return f"{self.label}={self.app}"

    @property
    def tagged_image(self) -> str:
        """The image with its tag."""
        return f"{self.image}:{self.version}"

    @property
    def digest(self) -> str:
        """The image's digest."""
        return "sha256:" + hashlib.sha256(self.tagged_image.encode()).hexdigest()

    @property
    def template_hash(self) -> str:
        """What tells this revision of the Deployment's pods from others."""
        return hashlib.sha256(self.digest.encode()).hexdigest()[:10]

    @property
    def replica_set(self) -> str:
        """The ReplicaSet's name."""
        return f"{self.app}-{self.template_hash}"

    @property
    def labels(self) -> dict[str, str]:
        """The pods' labels."""
        return {self.label: self.app, "pod-template-hash": self.template_hash}


@cache
def dialects() -> tuple[Dialect, ...]:
    """Every dialect; the first is the ordinary one."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))["dialects"]
    return tuple(
        Dialect(**{**table, "nodes": tuple(table["nodes"]), "command": tuple(table["command"])}) for table in tables
    )


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "ts": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_formatter(dialect: Dialect) -> logging.Formatter:
    """How the dialect's log lines look."""
    if dialect.log_form == _JSON_FORM:
        return _JsonLines()
    formatter = logging.Formatter(dialect.log_form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter
