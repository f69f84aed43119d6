"""Where each kind of model server states the version of its model, and how to read it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from checks.base import Answer, CheckError, Sender
from checks.cases import has_known_good, known_good
from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.text import clean, one_line

_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Stated:
    """What one server said of itself. `versions` are all that it has loaded; `model` its model's name or path."""

    versions: tuple[str, ...] = ()
    server: str = ""
    source: str = ""
    model: str = ""
    error: str = ""
    unreachable: bool = False

    @property
    def text(self) -> str:
        """The versions for a sentence."""
        return ", ".join(self.versions)


@dataclass(frozen=True, slots=True)
class Source:
    """One metadata endpoint: `{model}` in the path is replaced; `port` replaces the server's where it has its own."""

    name: str
    path: str
    read: Callable[[Any], Stated]
    port: int | None = None

    @property
    def needs_model(self) -> bool:
        """True when the path names the model."""
        return "{model}" in self.path


def _word(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return one_line(clean(str(value)), _LENGTH)


def _words(values: Any) -> tuple[str, ...]:
    return tuple(filter(None, map(_word, values))) if isinstance(values, list) else ()


def _get(document: Any, *names: str) -> Any:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _health(document: Any) -> Stated:
    for names in (("model_version",), ("modelVersion",), ("model", "version"), ("model", "model_version")):
        version = _word(_get(document, *names))
        if version:
            return Stated((version,), model=_word(_get(document, "model_name")))
    return Stated()


def _v2(document: Any) -> Stated:
    versions = _words(_get(document, "versions")) or tuple(filter(None, [_word(_get(document, "version"))]))
    return Stated(versions, model=_word(_get(document, "name")))


def _tensorflow(document: Any) -> Stated:
    found = _get(document, "model_version_status")
    entries = found if isinstance(found, list) else []
    return Stated(tuple(_word(_get(one, "version")) for one in entries if _get(one, "state") == "AVAILABLE"))


def _torchserve(document: Any) -> Stated:
    entries = document if isinstance(document, list) else []
    versions = tuple(filter(None, (_word(_get(one, "modelVersion")) for one in entries)))
    return Stated(versions, model=_word(_get(entries[0], "modelName")) if entries else "")


def _tgi(document: Any) -> Stated:
    version = _word(_get(document, "model_sha")) or _word(_get(document, "model_id"))
    if not version or _get(document, "model_id") is None:
        return Stated()
    return Stated((version,), server=_word(_get(document, "version")), model=_word(_get(document, "model_id")))


def _sglang(document: Any) -> Stated:
    path = _word(_get(document, "model_path"))
    version = _word(_get(document, "weight_version"))
    return Stated(tuple(filter(None, [version or path])), model=path)


def _openai(document: Any) -> Stated:
    data = _get(document, "data")
    entries = data if isinstance(data, list) else []
    names = tuple(filter(None, (_word(_get(one, "root")) or _word(_get(one, "id")) for one in entries)))
    return Stated(names, model=_word(_get(entries[0], "id")) if entries else "")


SOURCES = (
    Source("health", "/health", _health),
    Source("v2", "/v2/models/{model}", _v2),
    Source("tensorflow", "/v1/models/{model}", _tensorflow),
    Source("torchserve", "/models/{model}", _torchserve, port=8081),
    Source("tgi", "/info", _tgi),
    Source("sglang", "/get_model_info", _sglang),
    Source("vllm", "/v1/models", _openai),
)
"""In the order in which they are tried; names are the values of `--server`.

Open Inference Protocol (model metadata), TensorFlow Serving (model status, REST), TorchServe (management API), TGI
(`/info`), SGLang (`/get_model_info`), vLLM and other OpenAI-style servers (`/v1/models`; `/version`).
"""
REPLY = "reply"
"""The source of a version that stands in the reply to the known-good input."""

_FIRST = {Protocol.V2: ("v2",), Protocol.OPENAI: ("tgi", "sglang", "vllm"), Protocol.JSON: ("health",)}
_SERVER_VERSION = {"vllm": "/version"}


def model_name(endpoint: Endpoint, given: str) -> str:
    """The model's name: as given, as configured, or as the predict URL has it (`/v2/models/NAME/infer`)."""
    if given or endpoint.model:
        return given or endpoint.model
    parts = [part for part in urlsplit(endpoint.url).path.split("/") if part]
    for before in ("models", "predictions"):
        if before in parts[:-1]:
            return parts[parts.index(before) + 1].partition(":")[0]
    return ""


def sources_for(endpoint: Endpoint, server: str, model: str) -> list[Source]:
    """What to try, the likeliest first; those that need a model's name only where there is one."""
    if server:
        return [one for one in SOURCES if one.name == server]
    first = _FIRST[endpoint.protocol]
    usable = [one for one in SOURCES if model or not one.needs_model]
    return sorted(usable, key=lambda one: one.name not in first)


def url_of(source: Source, endpoint: Endpoint, base_url: str, model: str) -> str:
    """The metadata URL of a source at the service (`base_url` empty) or at a replica."""
    health = source.name == "health" and endpoint.health_url
    if health and not base_url:
        return endpoint.health_url
    base = urlsplit(base_url or endpoint.url)
    path = urlsplit(endpoint.health_url).path if health else source.path.replace("{model}", quote(model, safe=""))
    netloc = base.netloc
    if source.port is not None:
        host = base.hostname or ""
        netloc = f"[{host}]:{source.port}" if ":" in host else f"{host}:{source.port}"
    prefix = base.path.rstrip("/") if base_url else ""
    query = urlsplit(endpoint.health_url).query if health else ""
    return urlunsplit((base.scheme, netloc, prefix + path, query, ""))


class Asker:
    """Asks a service and its replicas, all at the same place: versions from different places cannot be compared."""

    def __init__(self, sender: Sender, endpoint: Endpoint, server: str, model: str, *, timeout_s: float) -> None:
        """`server` is the value of `--server`, empty when it is to be found out.

        Raises:
            CheckError: that server's metadata endpoint needs the model's name, which is unknown.
        """
        self._sender = sender
        self._endpoint = endpoint
        self._model = model_name(endpoint, model)
        self._timeout_s = timeout_s
        self._sources = sources_for(endpoint, server, self._model)
        self._may_send = server in ("", "v2") and has_known_good(endpoint)
        self._settled = len(self._sources) == 1 and not self._may_send
        if server and not self._model and self._sources[0].needs_model:
            raise CheckError(f"the model's name is needed to ask a {server} server; give --model NAME")

    @property
    def settled(self) -> bool:
        """True once one place is left to ask."""
        return self._settled

    async def ask(self, base_url: str = "") -> Stated:
        """What the server states at the first place that names a version, else why there is none.

        The metadata endpoints come first. Then a known-good input is sent, whose reply states a version in the Open
        Inference Protocol: of MLServer it is the only place.
        """
        stated = await self._at_metadata(base_url)
        if not stated.versions and self._may_send and not stated.unreachable:
            stated = await self._in_reply(base_url, stated.error)
        if stated.versions:
            self._sources = [one for one in self._sources if one.name == stated.source]
            self._may_send = stated.source == REPLY
            self._settled = True
        return stated

    async def _at_metadata(self, base_url: str) -> Stated:
        errors: list[tuple[str, Answer]] = []
        for source in self._sources:
            url = url_of(source, self._endpoint, base_url, self._model)
            answer = await self._sender.get(url, timeout_s=self._timeout_s)
            if answer.ok:
                stated = source.read(answer.body)
                if stated.versions:
                    server = stated.server or await self._server_version(source, base_url)
                    return Stated(stated.versions, server, source.name, stated.model)
            errors.append((urlsplit(url).path, answer))
            if answer.status is None and source.port is None:
                return Stated(error=answer.error, unreachable=True)  # the others are on the same server
        return Stated(error=one_line("; ".join(_whys(errors)), 300))

    async def _server_version(self, source: Source, base_url: str) -> str:
        if source.name not in _SERVER_VERSION:
            return ""
        at = Source(source.name, _SERVER_VERSION[source.name], source.read)
        answer = await self._sender.get(url_of(at, self._endpoint, base_url, self._model), timeout_s=self._timeout_s)
        return _word(_get(answer.body, "version")) if answer.ok else ""

    async def _in_reply(self, base_url: str, before: str) -> Stated:
        try:
            case = await asyncio.to_thread(known_good, self._endpoint)
        except CheckError as error:
            return Stated(error=one_line(f"{before}; {error}", 400))
        answer = await self._sender.predict(
            None if case is None else case.input, base_url=base_url, timeout_s=self._timeout_s
        )
        version = _word(answer.model_version) if answer.ok else ""
        if version:
            return Stated((version,), source=REPLY)
        why = "states no version" if answer.ok else clean(answer.error).partition(": ")[0]
        parts = filter(None, (before, f"the reply to the known-good input: {why}"))
        return Stated(error=one_line("; ".join(parts), 400), unreachable=answer.status is None)


def _whys(errors: list[tuple[str, Answer]]) -> Iterator[str]:
    for path, answer in errors:
        yield f"{path}: " + ("states no version" if answer.ok else answer.error.partition(": ")[0])
