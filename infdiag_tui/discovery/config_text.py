"""The infdiag.toml of what was found: commented, and with what could not be known left to fill in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from infdiag_tui.config_path import FILE_NAME
from infdiag_tui.discovery.score import Candidate
from infdiag_tui.text import one_line

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def config_text(candidates: Sequence[Candidate], *, kubeconfig: Path | None, today: str) -> str:
    """A config with one model for each candidate.

    Args:
        candidates: what was found and chosen; two of one name are told apart by their place.
        kubeconfig: the file that was named, which the config then names too.
        today: the date, for the head line.
    """
    lines = [
        f"# {FILE_NAME}: what infdiag looks at. Written by `infdiag init` on {today}; it is yours from here on.",
        "# `infdiag doctor` says whether all of it works.",
        "",
    ]
    for name, one in zip(_names(candidates), candidates, strict=True):
        lines += _model(name, one, kubeconfig)
    return "\n".join(lines)


def _names(candidates: Sequence[Candidate]) -> list[str]:
    names = [one.workload.name[:100] for one in candidates]
    places = [
        f"{one.workload.name}-{one.workload.namespace or one.workload.pid}-{one.workload.context}".rstrip("-")[:100]
        if names.count(one.workload.name[:100]) > 1
        else one.workload.name[:100]
        for one in candidates
    ]
    return [f"{place}-{at}" if places.count(place) > 1 else place for at, place in enumerate(places, 1)]


def _model(name: str, one: Candidate, kubeconfig: Path | None) -> list[str]:
    workload = one.workload
    key = name if _BARE_KEY.fullmatch(name) else _text(name)
    replicas = f", {workload.replicas}" if workload.replicas else ""
    lines = [
        _comment(f"{workload.kind} {workload.name} ({workload.where}{replicas})."),
        _comment(f"Taken for a model server because it {one.why}." if one.reasons else "Chosen by its name alone."),
        "",
    ]
    if workload.pid is not None:
        lines += _on_host(key, one)
    else:
        lines += _in_cluster(key, one, kubeconfig)
    return [*lines, *_endpoint(key, one), ""]


def _in_cluster(key: str, one: Candidate, kubeconfig: Path | None) -> list[str]:
    workload = one.workload
    lines = [f"[models.{key}.kubernetes]"]
    if kubeconfig is not None:
        lines.append(f"kubeconfig = {_text(str(kubeconfig))}")
    if workload.context:
        lines.append(f"context = {_text(workload.context)}")
    lines += [f"namespace = {_text(workload.namespace)}", f"selector = {_text(workload.selector)}"]
    if workload.kind == "RayService":
        lines.append("# An upgrade of a RayService starts another Ray cluster: its name is then another one.")
    return [*lines, ""]


def _on_host(key: str, one: Candidate) -> list[str]:
    ports = one.workload.ports
    metrics = one.server.metrics if one.server else ""
    url = f"http://127.0.0.1{metrics if metrics.startswith(':') else f':{_main_port(one)}{metrics}'}"
    also = f" # it listens on {', '.join(map(str, ports))}" if len(ports) > 1 else ""
    return [
        f"[models.{key}.host]",
        f"port = {_main_port(one)}{also}",
        "",
        *([f"[models.{key}.metrics]", f"urls = [{_text(url)}]", ""] if metrics else []),
        f"# [models.{key}.logs]",
        '# files = ["/var/log/MODEL.log"] # the server\'s own log, wherever it writes it',
        "",
    ]


def _endpoint(key: str, one: Candidate) -> list[str]:
    """The probe, commented out: only the operator knows a known-good input."""
    workload, server = one.workload, one.server
    path = (server.path if server else "/predict").replace("MODEL", workload.name)
    if workload.pid is not None:
        url = f"http://127.0.0.1:{_main_port(one)}{path}"
        ways = []
    elif workload.service:
        url = f"k8s://{workload.namespace}/{workload.service}:{workload.service_port}{path}"
        inside = f"http://{workload.service}.{workload.namespace}:{workload.service_port}{path}"
        ways = [f"Where this machine has a route to the service: {inside}"]
    else:
        url, ways = f"http://HOST:8000{path}", []
    guess = f"{server.name}'s usual path" if server else "a guess"
    return [
        "# Latency as the clients see it: a known-good input, posted once a second. Fill in body, take the '# ' away.",
        *map(_comment, ways),
        f"# [models.{key}.endpoint]",
        _comment(f"url = {_text(url)} # the path is {guess}"),
        f"# protocol = {_text(server.protocol if server else 'json')}",
        *([f"# model = {_text(workload.name)}"] if server and server.protocol == "openai" else []),
        f"# body = {_body(server.protocol if server else 'json', workload.name)}",
    ]


def _main_port(one: Candidate) -> int:
    ports = one.workload.ports
    wanted = one.server.ports if one.server else ()
    return next((port for port in wanted if port in ports), ports[0])


def _body(protocol: str, name: str) -> str:
    match protocol:
        case "v2":
            return '{ inputs = [{ name = "INPUT", shape = [1, 3], datatype = "FP32", data = [0.1, 3.0, 12.5] }] }'
        case "openai":
            return f'{{ model = {_text(name)}, prompt = "Hello", max_tokens = 8 }}'
        case _:
            return "{ features = [0.1, 3.0, 12.5] }"


def _comment(text: str) -> str:
    return f"# {one_line(text, 600)}"


def _text(value: str) -> str:
    """A TOML string: JSON's are, while no character is written as two."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
