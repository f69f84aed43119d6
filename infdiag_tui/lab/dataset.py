"""The files that a team keeps about its model: training data, golden vectors, and what production logged."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from infdiag_tui.lab import modelfile
from infdiag_tui.lab.server.features import CHANNELS, COUNTRIES, NUMBERS, to_features
from infdiag_tui.lab.world import Outcomes, all_features, log_odds, sigmoid, transaction

_TRAINING_ROWS = 3_000
_RECENT_ROWS = 500
_RECENT_S = 6 * 3_600.0
_CASES = 6
_LARGEST_AMOUNT = 5_000
_GOLDEN = 5
_ROWS_PER_S = 40.0
"""Rows of requests that are logged; of more, a sample is."""
_TRAINED_DAYS_AGO = 30
_DAY_S = 86_400.0


class Dataset:
    """The files of `data/`. Those of the past are written once, those of production grow with `record`."""

    def __init__(self, folder: Path, merchants: int, seed: int, outcomes: Outcomes) -> None:
        self._folder = folder / "data"
        self._folder.mkdir(exist_ok=True)
        self._merchants = merchants
        self._draw = random.Random(seed + 3)
        self._outcomes = outcomes
        self._open: dict[str, IO[str]] = {}
        self._room = _ROWS_PER_S
        self._filled_at = time.monotonic()

    def path(self, name: str) -> Path:
        """A file's path."""
        return self._folder / name

    def write_past(self, document: Mapping[str, Any], outcomes: Outcomes) -> None:
        """Writes training data, schema, golden vectors, known-good cases and the history of predictions and outcomes.

        Args:
            document: The model that is meant to be deployed.
            outcomes: What transactions turned out to be when all was well.
        """
        training = [transaction(self._draw, self._merchants) for _ in range(_TRAINING_ROWS)]
        self._write_training(training)
        self._put("schema.json", _schema(training))
        golden = [{"input": row, "expected": to_features(row), "compare": "numeric"} for row in training[:_GOLDEN]]
        self._put("golden.json", golden)
        self._put("cases.json", [self._case(document, number) for number in range(_CASES)])
        now = time.time()
        began = now - _TRAINED_DAYS_AGO * _DAY_S
        self._write_outcomes("past_outcomes.jsonl", training, outcomes, began, _RECENT_S)
        recent = [transaction(self._draw, self._merchants) for _ in range(_RECENT_ROWS)]
        self._write_outcomes("outcomes.jsonl", recent, self._outcomes, now - _RECENT_S, _RECENT_S)
        for name in ("requests.jsonl", "predictions.jsonl"):
            self.path(name).touch()

    def record(
        self,
        sent: Sequence[Mapping[str, Any]],
        predictions: Sequence[Mapping[str, Any]],
        happened: Sequence[Mapping[str, Any]],
    ) -> None:
        """Logs a request's rows and, where it was answered, what was predicted and what came of it.

        `happened` are the transactions behind the rows, whatever their sender made of them.
        """
        if not self._admits(len(sent)):
            return
        stamp = _stamp(time.time())
        self._append("requests.jsonl", ({"time": stamp, **row} for row in sent))
        scored = list(zip(happened, predictions, strict=False))
        scores = [prediction["fraud_probability"] for _, prediction in scored]
        self._append("predictions.jsonl", ({"time": stamp, "fraud_probability": score} for score in scores))
        self._append(
            "outcomes.jsonl",
            (
                {"time": stamp, "prediction": score, "label": self._outcomes.of(row)}
                for (row, _), score in zip(scored, scores, strict=True)
                if score is not None
            ),
        )

    def close(self) -> None:
        """Closes the logs."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _admits(self, rows: int) -> bool:
        now = time.monotonic()
        self._room = min(_ROWS_PER_S, self._room + (now - self._filled_at) * _ROWS_PER_S)
        self._filled_at = now
        if self._room <= 0:
            return False
        self._room -= rows
        return True

    def _write_training(self, rows: list[dict[str, Any]]) -> None:
        with self.path("training.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=["time", *rows[0]])
            writer.writeheader()
            began = time.time() - _TRAINED_DAYS_AGO * _DAY_S
            writer.writerows({"time": _stamp(began + number), **row} for number, row in enumerate(rows))
        scores = [{"fraud_probability": round(_score(row), 6)} for row in rows]
        self._append("past_predictions.jsonl", scores)

    def _write_outcomes(
        self, name: str, rows: list[dict[str, Any]], outcomes: Outcomes, began: float, span_s: float
    ) -> None:
        step_s = span_s / len(rows)
        self._append(
            name,
            (
                {
                    "time": _stamp(began + number * step_s),
                    "prediction": round(_score(row), 6),
                    "label": outcomes.of(row),
                }
                for number, row in enumerate(rows)
            ),
        )

    def _case(self, document: Mapping[str, Any], number: int) -> dict[str, Any]:
        rows = [transaction(self._draw, self._merchants) for _ in range(2)]
        scores = [modelfile.score(document, all_features(row)) for row in rows]
        expected = [{"fraud_probability": round(score, 6)} for score in scores]
        return {
            "name": f"release test {number + 1}",
            "input": {"instances": rows},
            "expected": {"predictions": expected},
            "compare": "subset",
            "abs": 1e-4,
        }

    def _put(self, name: str, content: object) -> None:
        self.path(name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if name not in self._open:
            self._open[name] = self.path(name).open("a", encoding="utf-8")
        file = self._open[name]
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()


def _score(row: Mapping[str, Any]) -> float:
    return sigmoid(log_odds(all_features(row)))


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _schema(training: list[dict[str, Any]]) -> dict[str, Any]:
    """The training schema: types and categories as they were there, ranges as far as they make sense."""
    fields: dict[str, Any] = {}
    for name in NUMBERS:
        values = [row[name] for row in training]
        kind = "integer" if all(isinstance(value, int) for value in values) else "number"
        fields[name] = {"type": kind, "min": 0, "max": max(values)}
    fields["amount"]["max"] = _LARGEST_AMOUNT
    fields["country"] = {"type": "string", "categories": list(COUNTRIES)}
    fields["channel"] = {"type": "string", "categories": list(CHANNELS)}
    fields["merchant"] = {"type": "string"}
    return {"fields": fields, "extra": "allow"}
