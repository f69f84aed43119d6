"""What every stand-in for a way beside the model has."""

from __future__ import annotations

from typing import Literal


class Beside:
    """A container of a pod, by name only; `run` is each stand-in's own."""

    kind: Literal["container", "host"] = "container"
    place = "container server of pod scorer-1 (namespace ml)"
    where = f"in {place}"
