"""Kubernetes events: one object for each thing that happens, counted when it happens again."""

from __future__ import annotations

import time
from typing import Any

from infdiag_tui.lab.api.store import Store
from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.manifests import uid_of
from infdiag_tui.lab.times import timestamp


class EventRecorder:
    """Writes events to the store as kubelet, scheduler and controllers do."""

    def __init__(self, store: Store, dialect: Dialect) -> None:
        self._store = store
        self._namespace = dialect.namespace
        self._container = dialect.container
        self._known: dict[tuple[str, str, str, str], str] = {}

    def pod(self, name: str, kind: str, reason: str, message: str, *, source: str = "kubelet", host: str = "") -> None:
        """An event of kind `Normal` or `Warning` about a pod."""
        involved = {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": self._namespace,
            "name": name,
            "uid": uid_of(self._namespace, name),
        }
        # describe() of older clients finds a container's events by this path.
        if source == "kubelet":
            involved["fieldPath"] = f"spec.containers{{{self._container}}}"
        self._record(involved, kind, reason, message, {"component": source, **({"host": host} if host else {})})

    def about(self, involved: dict[str, str], kind: str, reason: str, message: str, source: str) -> None:
        """An event about any other object, which `involved` names by kind, apiVersion and name."""
        identity = {**involved, "namespace": self._namespace, "uid": uid_of(self._namespace, involved["name"])}
        self._record(identity, kind, reason, message, {"component": source})

    def _record(
        self,
        involved: dict[str, str],
        kind: str,
        reason: str,
        message: str,
        source: dict[str, str],
    ) -> None:
        now = timestamp(time.time())
        key = (involved["kind"], involved["name"], reason, message)
        known = self._store.get("events", self._namespace, self._known.get(key, ""))
        if known is not None:
            self._store.put("events", {**known, "count": known["count"] + 1, "lastTimestamp": now})
            return
        name = f"{involved['name']}.{time.time_ns():016x}"
        self._known[key] = name
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "uid": uid_of("event", name),
                "creationTimestamp": now,
            },
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": source,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "reportingComponent": source["component"],
            "reportingInstance": source.get("host", ""),
        }
        self._store.put("events", event)
