"""Decides what an incident is about: the word typed, the config and the flags together."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infdiag_tui.config import Config, Kubernetes, ModelConfig, Prometheus
from infdiag_tui.config.load import ConfigError, TargetFlags, apply_flags, find_config, load_config
from infdiag_tui.config_path import search_path
from infdiag_tui.knowledge import SYMPTOMS
from infdiag_tui.servers.in_cluster import cluster_host, http_url_of, is_k8s_url
from infdiag_tui.text import redact


@dataclass(frozen=True, slots=True)
class Target:
    """One incident's subject: the model's name and sources, the symptom (empty if none was given), the whole config.

    `config_path` is the file that the config was read from, None without one.
    """

    model_name: str
    symptom: str
    model: ModelConfig
    config: Config
    config_path: Path | None = None


def resolve_target(word: str | None, config_path: str | None, flags: TargetFlags) -> Target:
    """Finds what to look at.

    A word that is a symptom is the symptom; another is a model of the config or, failing that, a name to look for in
    the cluster of the kubeconfig.

    Raises:
        ConfigError: nothing to look at, or a name that is nowhere; the message says what would help.
    """
    path = find_config(config_path)
    config = load_config(path) if path else Config()
    target = _resolved(word or "", config, path, flags)
    return replace(target, model=_with_shared_prometheus(target.model, config, target.model_name))


def _resolved(word: str, config: Config, path: Path | None, flags: TargetFlags) -> Target:
    symptom, name = (word, "") if word in SYMPTOMS else ("", word)
    if name in config.models:
        return Target(name, symptom, apply_flags(config.models[name], flags), config, path)
    if flags.any:
        sole = _sole_model(config) if not name else None
        base = sole[1] if sole else ModelConfig()
        return Target(name or (sole[0] if sole else _name_from(flags)), symptom, apply_flags(base, flags), config, path)
    if name:
        return Target(name, symptom, apply_flags(_search_cluster(name, config, path), flags), config, path)
    if len(config.models) > 1:
        names = ", ".join(sorted(config.models))
        raise ConfigError(f"{path}: describes several models. Name one: infdiag NAME, with NAME one of {names}.")
    sole = _sole_model(config)
    if sole is None:
        # Without any target the console still shows this machine; each other panel says what it lacks.
        return Target("this machine", symptom, apply_flags(ModelConfig(), flags), config, path)
    return Target(sole[0], symptom, apply_flags(sole[1], flags), config, path)


def _with_shared_prometheus(model: ModelConfig, config: Config, name: str) -> ModelConfig:
    """The model with the top-level [prometheus] under its own; what it says itself outranks that."""
    if model.prometheus is None and config.prometheus is None:
        return model
    given: dict[str, Any] = {}
    for section in (config.prometheus, model.prometheus):
        if section is not None:
            given |= section.model_dump(exclude_unset=True)
    merged = Prometheus.model_validate(given)
    if not merged.url:
        raise ConfigError(f"models.{name}.prometheus.url: is missing. Add it there, or to a top-level [prometheus].")
    return model.model_copy(update={"prometheus": merged})


def require_something_to_watch(target: Target) -> None:
    """Refuses a headless run that has nothing to look at but this machine.

    Raises:
        ConfigError: neither endpoint nor logs nor pods nor a process is named.
    """
    model = target.model
    if model.endpoint or model.logs.files or model.kubernetes or model.gpu.dcgm_url or model.prometheus or model.loki:
        return
    if model.host.pid or model.host.process_name or model.host.port:
        return
    if target.config_path:
        found = f"{target.config_path} names neither endpoint nor logs nor pods nor a process"
    else:
        found = f"no config was found ({' or '.join(str(place) for place in search_path())})"
    raise ConfigError(
        f"nothing to watch: {found}, and no target was given. "
        "Try --endpoint URL, --log FILE or --namespace NS --selector app=NAME, or write a config; "
        "`infdiag demo` shows it on an example.",
    )


def _sole_model(config: Config) -> tuple[str, ModelConfig] | None:
    return next(iter(config.models.items())) if len(config.models) == 1 else None


def _name_from(flags: TargetFlags) -> str:
    if flags.selector:
        return flags.selector.split(",")[0].split("=")[-1] or "model"
    if flags.endpoint:
        try:
            given = http_url_of(flags.endpoint) if is_k8s_url(flags.endpoint) else flags.endpoint
            parts = urlsplit(given)
            inside = cluster_host(parts.hostname)
            return inside.name if inside else parts.netloc.rpartition("@")[2] or "model"
        except ValueError as error:
            raise ConfigError(
                f"command line: endpoint.url: {redact(flags.endpoint)} is no URL ({error}). "
                "Give one such as http://model-server:8000/predict.",
            ) from error
    return flags.process_name or "model"


def _search_cluster(name: str, config: Config, path: Path | None) -> ModelConfig:
    named = os.environ.get("KUBECONFIG")
    kubeconfigs = [Path(part) for part in named.split(os.pathsep) if part] if named else [Path.home() / ".kube/config"]
    if any(candidate.is_file() for candidate in kubeconfigs) or "KUBERNETES_SERVICE_HOST" in os.environ:
        return ModelConfig(kubernetes=Kubernetes(name_hint=name))
    near = difflib.get_close_matches(name, [*SYMPTOMS, *config.models], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    where = f"{path} has no model of that name" if path else "no config was found"
    raise ConfigError(
        f"{name!r} is neither a symptom ({', '.join(SYMPTOMS)}) nor a known model: {where}, "
        f"and there is no kubeconfig to look for it in a cluster.{hint} "
        "Give --endpoint URL, --log FILE or --kubeconfig FILE, or describe the model in infdiag.toml.",
    )
