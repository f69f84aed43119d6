"""The JSON document of `infdiag doctor --json`."""

from __future__ import annotations

from typing import Any

from infdiag_tui.doctor.examination import Examination


def document(found: Examination) -> dict[str, Any]:
    """Everything found, as JSON values; times in seconds, absent ones null."""
    error = found.cluster_error
    return {
        "model": found.model,
        "ok": found.exit_code == 0,
        "environment": found.environment,
        "sources": [
            {
                "name": one.name,
                "state": one.state.value,
                "took_s": _rounded(one.took_s),
                "reason": one.reason,
                "remedy": one.remedy,
            }
            for one in found.sources
        ],
        "contexts": [
            {
                "name": one.name,
                "namespace": one.namespace,
                "used": one.used,
                "state": one.state.value,
                "took_s": _rounded(one.took_s),
                "version": one.version,
                "reason": one.reason,
                "remedy": one.remedy,
            }
            for one in found.contexts
        ],
        "cluster_error": {"reason": error.reason, "remedy": error.remedy} if error is not None else None,
        "user": found.user,
        "namespace": found.namespace,
        "rights": [
            {
                "group": one.right.group,
                "resource": one.right.resource,
                "role": one.right.role,
                "optional": one.right.optional,
                "allowed": list(one.allowed),
                "denied": list(one.denied),
                "unknown": one.unknown,
                "feature": one.right.feature,
            }
            for one in found.rights
        ],
        "role": found.role,
        "requests": {
            "over_s": _rounded(found.requests.over_s),
            "total": found.requests.total,
            "by_kind": [
                {
                    "verb": rate.verb,
                    "resource": rate.resource,
                    "total": rate.total,
                    "per_minute": found.requests.per_minute(rate.total),
                }
                for rate in found.requests.rates
            ],
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
