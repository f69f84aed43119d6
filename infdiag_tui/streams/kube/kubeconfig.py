"""Finds and reads the kubeconfig (or the pod's own service account) and names what is wrong with it.

Reading blocks: call `read_kubeconfig` and `connect` in a thread. The first call imports the client, about a second.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import difflib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from infdiag_tui.config import Kubernetes
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.errors import Place
from infdiag_tui.streams.kube.exec_plugin import Credential, PluginSpec, plugin_spec
from infdiag_tui.text import clean, one_line

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_AUTH_PROVIDER_TIMEOUT_S = 15.0
_temporary_files = threading.Lock()
"""The client keeps one list of its temporary files: one connection's clean-up would take away another's."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """One context of a kubeconfig (`merged` None: the service account of the pod that infdiag runs in)."""

    place: Place
    namespace: str
    stamp: tuple[tuple[str, int, int], ...]
    """Path, modification time (ns) and size of each file, to notice changes."""
    merged: Any = None
    plugin: PluginSpec | None = None
    token_file: Path | None = None
    context_name: str = ""
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class KnownContext:
    """One context that a kubeconfig names: its own namespace (empty: default), and whether it is the current one."""

    name: str
    namespace: str
    cluster: str
    current: bool


def known_contexts(settings: Kubernetes) -> list[KnownContext]:
    """The contexts of the kubeconfig, the current one first; none without a kubeconfig (as in a pod). Blocks.

    Raises:
        SourceError: a kubeconfig that cannot be read.
    """
    stamp = stamp_of(settings)
    if not stamp:
        if settings.kubeconfig:
            raise _no_kubeconfig(settings)
        return []
    merged = _merge(os.pathsep.join(path for path, _, _ in stamp))
    current = str(merged.value.get("current-context") or "")
    found = []
    for name, entry in _named(merged, "contexts").items():
        context = entry.get("context") or {}
        found.append(
            KnownContext(
                name, str(context.get("namespace") or ""), str(context.get("cluster") or ""), current=name == current
            )
        )
    return sorted(found, key=lambda one: (not one.current, one.name))


def _no_kubeconfig(settings: Kubernetes) -> SourceError:
    return SourceError(
        f"no kubeconfig: {', '.join(map(str, kubeconfig_paths(settings)))} does not exist",
        remedy="name one with --kubeconfig FILE, kubernetes.kubeconfig in infdiag.toml or $KUBECONFIG",
    )


def kubeconfig_paths(settings: Kubernetes) -> list[Path]:
    """The files to read: the one named in the config, else $KUBECONFIG's, else ~/.kube/config."""
    if settings.kubeconfig:
        return [settings.kubeconfig.expanduser()]
    named = os.environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return paths or [Path.home() / ".kube" / "config"]


def stamp_of(settings: Kubernetes) -> tuple[tuple[str, int, int], ...]:
    """What changes when a kubeconfig file is written."""
    stamps = []
    for path in kubeconfig_paths(settings):
        try:
            found = path.stat()
        except OSError:
            continue
        stamps.append((str(path), found.st_mtime_ns, found.st_size))
    return tuple(stamps)


def read_kubeconfig(settings: Kubernetes) -> Kubeconfig:
    """Reads the configured context.

    Raises:
        SourceError: no kubeconfig, broken YAML, unknown context, a part missing; names the file and the remedy.
    """
    stamp = stamp_of(settings)
    if not stamp:
        if not settings.kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _in_cluster(settings)
        raise _no_kubeconfig(settings)
    source = os.pathsep.join(path for path, _, _ in stamp)
    merged = _merge(source)
    return _resolve(merged, settings, source, stamp)


def _merge(source: str) -> Any:
    import yaml

    loading: Any = import_module("kubernetes.aio.config.kube_config")
    try:
        merged = loading.KubeConfigMerger(source).config
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{mark.name}, line {mark.line + 1}" if mark else source
        what = getattr(error, "problem", None) or "broken"
        raise SourceError(f"{where}: no valid YAML: {one_line(str(what))}", remedy="mend the kubeconfig") from None
    except UnicodeDecodeError:
        raise SourceError(f"{source} is no text file", remedy="name a kubeconfig file") from None
    except OSError as error:
        raise SourceError(f"{error.filename} can't be read: {error.strerror}", remedy="check its permissions") from None
    except (TypeError, AttributeError, KeyError):
        raise SourceError(f"{source} is no kubeconfig", remedy="compare with: kubectl config view") from None
    if merged is None:
        raise SourceError(f"{source} is no kubeconfig", remedy="compare with: kubectl config view")
    return merged


def _resolve(merged: Any, settings: Kubernetes, source: str, stamp: tuple[tuple[str, int, int], ...]) -> Kubeconfig:
    contexts = _named(merged, "contexts")
    name = settings.context or str(merged.value.get("current-context") or "")
    if name not in contexts:
        raise _unknown_context(name, sorted(contexts), source)
    context = contexts[name].get("context") or {}
    clusters, users = _named(merged, "clusters"), _named(merged, "users")
    cluster_name, user_name = str(context.get("cluster") or ""), str(context.get("user") or "")
    cluster = (clusters.get(cluster_name) or {}).get("cluster") or {}
    if not cluster.get("server"):
        raise SourceError(
            f"{source}: context {name!r} points to cluster {cluster_name!r}, which has no server there",
            remedy=f"add the cluster or choose another context: {', '.join(sorted(contexts))}",
        )
    if user_name and user_name not in users:
        raise SourceError(
            f"{source}: context {name!r} points to user {user_name!r}, which is not there",
            remedy=f"log in again or choose another context: {', '.join(sorted(contexts))}",
        )
    user = (users.get(user_name) or {}).get("user") or {}
    # Paths are relative to the file that names them, of several merged ones that of this user.
    home = getattr(_node(merged, "users", user_name), "path", None) or source
    plugin = (
        plugin_spec(user["exec"], user=user_name, source=home, cluster=cluster)
        if isinstance(user.get("exec"), Mapping)
        else None
    )
    token_file = user.get("tokenFile") if not user.get("token") else None
    place = Place(
        host=one_line(str(cluster["server"]), 200),
        context=one_line(name, 100),
        user=one_line(user_name, 100),
        source=source,
        credential=_credential_kind(user),
    )
    return Kubeconfig(
        place=place,
        namespace=settings.namespace or str(context.get("namespace") or "default"),
        stamp=stamp,
        merged=merged,
        plugin=plugin,
        token_file=Path(Path(home).parent, str(token_file)) if token_file else None,
        context_name=name,
        user_name=user_name,
    )


def _named(merged: Any, section: str) -> dict[str, Mapping[str, Any]]:
    found = {}
    for entry in merged.value.get(section) or ():
        value = getattr(entry, "value", entry)
        if isinstance(value, Mapping) and "name" in value:
            found[str(value["name"])] = value
    return found


def _node(merged: Any, section: str, name: str) -> Any:
    return next((node for node in merged.value.get(section) or () if node.value.get("name") == name), None)


def _unknown_context(name: str, known: list[str], source: str) -> SourceError:
    nearest = difflib.get_close_matches(name, known, n=len(known) or 1, cutoff=0.0)
    listed = ", ".join(one_line(other, 60) for other in nearest) or "none"
    if not name:
        return SourceError(
            f"{source} has no current-context",
            remedy=f"choose one with kubernetes.context in infdiag.toml or --context: {listed}",
        )
    return SourceError(
        f"{source} has no context {one_line(name, 60)!r}; it has: {listed}",
        remedy="set kubernetes.context in infdiag.toml (or --context) to one of these",
    )


def _credential_kind(user: Mapping[str, Any]) -> str:
    if "exec" in user:
        return f"credential plugin {(user['exec'] or {}).get('command')}"
    if user.get("token"):
        return "token"
    if user.get("tokenFile"):
        return f"token file {user['tokenFile']}"
    if "auth-provider" in user:
        return f"auth-provider {(user['auth-provider'] or {}).get('name')}"
    if "client-certificate" in user or "client-certificate-data" in user:
        return "client certificate"
    return "user name and password" if "username" in user else "no credentials"


def _in_cluster(settings: Kubernetes) -> Kubeconfig:
    namespace_file = _SERVICE_ACCOUNT / "namespace"
    own = namespace_file.read_text().strip() if namespace_file.is_file() else "default"
    host = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}"
    token_file = _SERVICE_ACCOUNT / "token"
    place = Place(host, source=str(_SERVICE_ACCOUNT), user="service account", credential=f"token file {token_file}")
    return Kubeconfig(place, settings.namespace or own, (), token_file=token_file)


def connect(config: Kubeconfig, credential: Credential | None, user_agent: str) -> Any:
    """A `kubernetes.aio.client.ApiClient` for this context, its TLS set up but nothing sent yet.

    Raises:
        SourceError: a certificate, key or token can't be read.
    """
    with _temporary_files:
        return _connected(config, credential, user_agent)


def _connected(config: Kubeconfig, credential: Credential | None, user_agent: str) -> Any:
    aio: Any = import_module("kubernetes.aio")
    loading: Any = import_module("kubernetes.aio.config.kube_config")
    configuration = aio.client.Configuration()
    try:
        if config.merged is None:
            aio.config.load_incluster_config(configuration, try_refresh_token=False)
        else:
            loader = loading.KubeConfigLoader(
                _with_credential(config, credential),
                active_context=config.context_name,
                config_base_path=None,
            )
            asyncio.run(asyncio.wait_for(loader.load_and_set(configuration), _AUTH_PROVIDER_TIMEOUT_S))
        for name, value in configuration.api_key.items():
            configuration.api_key[name] = value.strip()  # token files end in a newline, which no header may hold
        client = aio.client.ApiClient(configuration)
    except (aio.config.ConfigException, ValueError, OSError, TypeError, AttributeError) as error:
        # ssl.SSLError and TimeoutError are OSErrors; the loader meets malformed entries with the last two.
        raise SourceError(
            f"{config.place.source}: context {config.place.context!r} can't be used: {_said(error)}",
            remedy=f"check the {config.place.credential or 'credentials'} and certificates it names, or log in again",
        ) from None
    finally:
        # The loader writes certificates and keys to temporary files. TLS has read them: none may outlive a kill.
        loading._cleanup_temp_files()  # noqa: SLF001 - there is no public way
    client.user_agent = user_agent
    return client


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return one_line(clean(f"{error.filename}: {error.strerror}"))
    return one_line(clean(str(error))) or type(error).__name__


def _with_credential(config: Kubeconfig, credential: Credential | None) -> Any:
    """The merged config with the plugin's credential in place of the plugin, which the loader then never runs."""
    if config.plugin is None:
        return config.merged
    merged = copy.deepcopy(config.merged)
    user = dict(_node(merged, "users", config.user_name).value["user"])
    del user["exec"]
    if credential and credential.token:
        user["token"] = credential.token
    if credential and credential.certificate:
        user["client-certificate-data"] = base64.b64encode(credential.certificate.encode()).decode()
        user["client-key-data"] = base64.b64encode(credential.key.encode()).decode()
    _node(merged, "users", config.user_name).value["user"] = user
    return merged
