"""Faults of single stages around the model: each is real work that takes too long."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from typing import Any

import orjson

from infdiag_tui.lab.server.model import Array
from infdiag_tui.lab.server.parts import Parts


class ScanMerchants:
    """Merchants are looked up in a larger table without an index."""

    def __init__(self, scanned_merchants: int) -> None:
        self._merchants = scanned_merchants

    def begin(self, parts: Parts) -> None:
        """Takes the index away."""
        from infdiag_tui.lab.server.model import MerchantTable

        table = MerchantTable.of(self._merchants)
        log = logging.getLogger(f"{parts.dialect.logger}.pipeline")
        log.info(parts.dialect.words["scan"], len(table.names))
        table.index.clear()
        parts.engine.pipeline.risk_of = table.by_scan


class ExplainRows:
    """Every row gets an explanation by sampling, step by step in Python."""

    def __init__(self, samples_per_row: int) -> None:
        self._samples = samples_per_row

    def begin(self, parts: Parts) -> None:
        """Switches it on."""
        parts.engine.pipeline.explain = self._explain

    def _explain(self, probabilities: Array) -> None:
        for probability in probabilities.tolist():
            total = 0.0
            for step in range(self._samples):
                total += math.tanh(probability * step / self._samples) * math.cos(step)


class SignReplies:
    """Every reply is signed over a canonical text of it and its audit record, which is written indented and sorted."""

    def __init__(self, audit_fields: int) -> None:
        self._audit = {
            f"feature_{number:05d}": {"value": number / 7, "weight": 1 / (1 + number)} for number in range(audit_fields)
        }

    def begin(self, parts: Parts) -> None:
        """Switches it on."""
        parts.engine.pipeline.dumps = self._dumps

    def _dumps(self, answer: Any) -> bytes:
        canonical = json.dumps({**answer, "audit": self._audit}, indent=1, sort_keys=True)
        return orjson.dumps({**answer, "signature": hashlib.sha256(canonical.encode()).hexdigest()})
