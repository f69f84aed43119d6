"""How much a workload looks like a model server, with the reasons in words; pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from infdiag_tui.discovery.known import KnownServer, known
from infdiag_tui.discovery.workload import Workload
from infdiag_tui.streams.kube.selection import NAME_LABELS
from infdiag_tui.text import one_line

LIKELY = 3
"""From this score on a workload is offered unasked: one strong sign, or several weak ones."""
_SURE, _STRONG, _FAIR, _WEAK = 6, 5, 3, 1
_HEALTH = re.compile(r"/(health|healthz|ready|readyz|live|livez|ping)(/|$)")
_PROMETHEUS = ("prometheus.io/scrape", "prometheus.io/port")
_OPERATED = {"InferenceService": "KServe", "RayService": "Ray Serve"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload with its score; `server` is None where it is none that is known by name."""

    workload: Workload
    score: int
    reasons: tuple[str, ...]
    server: KnownServer | None = None

    @property
    def why(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


def scored(workload: Workload) -> Candidate:
    """The workload with what speaks for it."""
    reasons = list(_reasons(workload))
    server = _server_of(workload)
    if _is_other(workload):
        reasons = [(0, "runs something that is known not to serve a model")]
        server = None
    return Candidate(workload, sum(points for points, _ in reasons), tuple(words for _, words in reasons), server)


def _reasons(workload: Workload) -> Iterator[tuple[int, str]]:
    table = known()
    if workload.kind in _OPERATED:
        yield _SURE, f"is a {workload.kind}"
    for server in table.servers:
        yield from _of_server(workload, server)
    if workload.gpus:
        yield _FAIR, "asks for a GPU"
    if named := sorted(workload.environment & table.environment):
        yield 2, f"its environment has {', '.join(named[:3])}"
    argument = next((word for word in table.arguments if any(_has_word(one, word) for one in workload.commands)), None)
    if argument is not None:
        yield 2, f"is started with {argument}"
    if word := _telling_word((workload.name, *workload.labels.values(), *workload.images)):
        yield _WEAK, f"is called after {word!r}"
    yield from _of_probes(workload)
    if workload.annotations & set(_PROMETHEUS):
        yield _WEAK, "offers metrics to Prometheus"


def _of_probes(workload: Workload) -> Iterator[tuple[int, str]]:
    for path in workload.probes:
        owners = [one.name for one in known().servers if path.startswith(one.probes or ("\0",))]
        if owners and not _HEALTH.fullmatch(path):
            yield _FAIR, f"is probed at {path}, as {' or '.join(owners)} is"
            return
    health = next((path for path in workload.probes if _HEALTH.search(path)), None)
    if health is not None:
        yield _WEAK, f"is probed at {health}"


def _of_server(workload: Workload, server: KnownServer) -> Iterator[tuple[int, str]]:
    strong = False
    for image in workload.images:
        if _has_piece(_repository(image), server.images):
            strong = True
            yield _STRONG, f"image {one_line(image, 100)} is {server.name}'s"
            break
    if any(_has_piece(command, server.commands) for command in workload.commands):
        strong = True
        yield _STRONG, f"is started as {server.name}"
    if label := next((label for label in server.labels if label in {**workload.labels, **workload.pod_labels}), None):
        strong = True
        yield _STRONG, f"bears {server.name}'s label {label}"
    if strong and (ports := [port for port in workload.ports if port in server.ports]):
        yield _WEAK, f"listens on {ports[0]}, {server.name}'s port"


def _server_of(workload: Workload) -> KnownServer | None:
    """The known server with the most points, if it has a strong sign."""
    if workload.kind in _OPERATED:
        return next(server for server in known().servers if server.name == _OPERATED[workload.kind])
    points = {server.name: sum(one for one, _ in _of_server(workload, server)) for server in known().servers}
    best = max(known().servers, key=lambda server: points[server.name])
    return best if points[best.name] >= _STRONG else None


def _is_other(workload: Workload) -> bool:
    table = known()
    if workload.kind in _OPERATED or _server_of(workload) is not None:
        return False
    images = [_repository(image) for image in workload.images]
    by_image = bool(images) and all(_has_piece(image, table.other_images) for image in images)
    return by_image or any(_has_piece(command, table.other_commands) for command in workload.commands)


def likely(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that look like model servers, the likeliest first."""
    return sorted((one for one in candidates if one.score >= LIKELY), key=_order)


def called(name: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that bear `name` (as name, in a name label, or at the start of the name); the closest ones alone."""
    ranked: dict[int, list[Candidate]] = {}
    for one in candidates:
        closeness = _closeness(name, one.workload)
        if closeness:
            ranked.setdefault(closeness, []).append(one)
    return sorted(ranked[max(ranked)], key=_order) if ranked else []


def _closeness(name: str, workload: Workload) -> int:
    labels = {**workload.labels, **workload.pod_labels}
    if workload.name == name:
        return 3
    if any(labels.get(label) == name for label in NAME_LABELS):
        return 2
    return 1 if workload.name.startswith((f"{name}-", f"{name}.")) else 0


def bearing(name: str, pods: Iterable[Workload]) -> list[Candidate]:
    """Places with pods that bear `name` in a label, or at the start of their own name, one for each namespace."""
    found: dict[tuple[str, str], Workload] = {}
    for pod in pods:
        label = next((label for label in NAME_LABELS if pod.pod_labels.get(label) == name), "")
        place = pod.context, pod.namespace
        if not label and (place in found or not pod.name.startswith(name)):
            continue
        if place not in found or not found[place].selector:
            selector = f"{label}={name}" if label else ""
            found[place] = Workload("Pods", name, *place, selector=selector)
    return [Candidate(one, 0, ()) for _, one in sorted(found.items())]


def joined(workloads: Iterable[Workload]) -> list[Workload]:
    """One workload for each thing that serves.

    The same object met through two contexts counts once, a Service belongs to what it selects, and what an
    InferenceService runs is the InferenceService's.
    """
    first: dict[tuple[str, ...], Workload] = {}
    for one in workloads:
        known_by = (one.kind, one.uid) if one.uid else (one.kind, one.context, one.namespace, one.name, str(one.pid))
        first.setdefault(known_by, one)
    distinct = list(first.values())
    services = [one for one in distinct if one.kind == "Service"]
    operated = [one for one in distinct if one.kind in _OPERATED]
    serving = [one for one in distinct if one.kind != "Service" and one not in operated]
    kept = [*operated]
    for one in serving:
        if not any(_selects(owner, one) for owner in operated):
            service = next((service for service in services if _selects(service, one)), None)
            kept.append(
                replace(one, service=service.service, service_port=service.service_port) if service is not None else one
            )
    behind = [*serving, *operated]
    kept += [one for one in services if not any(_selects(one, other) or _same_pods(one, other) for other in behind)]
    return kept


def _selects(owner: Workload, other: Workload) -> bool:
    """Whether every label that `owner` selects by is on `other`'s pods."""
    same_place = (owner.context, owner.namespace) == (other.context, other.namespace)
    return same_place and bool(owner.pod_labels) and owner.pod_labels.items() <= other.pod_labels.items()


def _same_pods(service: Workload, other: Workload) -> bool:
    """Whether a Service leads to pods of which only the operator's own label is known."""
    same_place = (service.context, service.namespace) == (other.context, other.namespace)
    return same_place and other.kind in _OPERATED and other.pod_labels.items() <= service.pod_labels.items()


def _order(one: Candidate) -> tuple[int, str, str, str]:
    return -one.score, one.workload.context, one.workload.namespace, one.workload.name


def _repository(image: str) -> str:
    """An image's name without tag and digest, lower-case."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}".lower()


def _has_piece(text: str, pieces: Iterable[str]) -> bool:
    lowered = text.lower()
    return any(piece in lowered for piece in pieces)


def _has_word(command: str, word: str) -> bool:
    return any(part == word or part.startswith(f"{word}=") for part in command.split())


def _telling_word(texts: Iterable[str]) -> str:
    words = (word for text in texts for word in re.split(r"[^a-z0-9]+", text.lower()))
    return next((word for word in words if word in known().names), "")
