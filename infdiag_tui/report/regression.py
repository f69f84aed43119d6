"""A regression test made from an incident: the known-good input against the limits that were broken."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template

from infdiag_tui.clock import utc_text
from infdiag_tui.config import Endpoint, ModelConfig, Protocol
from infdiag_tui.knowledge.causes import Cause, causes
from infdiag_tui.model import Snapshot
from infdiag_tui.text import one_line, redact

NAME = "test_regression.py"
TYPICAL_TOTAL_MS = 125.0
"""The specification's typical stage times, summed: preprocessing 10, inference 100, postprocessing 10, network 5."""


def regression_test(
    snapshot: Snapshot, model: ModelConfig, body: bytes | None, known: Mapping[str, Cause] | None = None
) -> str:
    """A pytest module of the standard library alone; empty without a confirmed cause or an endpoint to ask.

    Args:
        snapshot: the incident.
        model: its config.
        body: the known-good input as it is sent; None: the request has none.
        known: the causes in force, by id; default: the built-in ones.
    """
    root, endpoint = snapshot.diagnosis.root_cause, model.endpoint
    if root is None or endpoint is None or endpoint.protocol is Protocol.OPENAI:
        return ""
    cause = (known or causes()).get(root.cause)
    scenario = cause.prevention.test_case if cause and cause.prevention else root.title
    limit_ms, limit_source = _limit(endpoint)
    expected = model.checks.get("version", {}).get("expected")
    template = Template((files(__package__) / "regression_template.txt").read_text(encoding="utf-8"))
    return template.substitute(
        started=utc_text(snapshot.incident.started_at),
        model=_words(snapshot.incident.model),
        cause=_words(f"{root.title}: {root.reason}"),
        scenario=_words(scenario),
        url=repr(_without_credentials(endpoint.url)),
        method=repr(endpoint.method.upper() or ("GET" if body is None else "POST")),
        body=_body_code(body),
        limit_ms=repr(limit_ms),
        limit_source=_words(limit_source),
        version=repr(str(expected) if expected else None),
        timeout_s=repr(endpoint.timeout_s),
    )


def _limit(endpoint: Endpoint) -> tuple[float, str]:
    if endpoint.objective_p99_ms is not None:
        return endpoint.objective_p99_ms, "The service's own p99 objective."
    return TYPICAL_TOTAL_MS, "The sum of the typical stage times; replace it by the service's objective."


def _body_code(body: bytes | None) -> str:
    """Python code for the input as JSON text; one that holds what looks like a secret is not written down."""
    text = "null" if body is None else body.decode("utf-8", "replace")
    return repr(text) if redact(text) == text else 'os.environ["INFDIAG_TEST_BODY"]'


def _words(text: str) -> str:
    """Text for a docstring, which it cannot end."""
    return one_line(text, 400).replace("\\", "/").replace('"', "'")


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
