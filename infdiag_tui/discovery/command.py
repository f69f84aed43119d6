"""`infdiag init`, and the search behind `infdiag NAME` where no config knows the name."""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from infdiag_tui import exit_codes
from infdiag_tui.config import Kubernetes
from infdiag_tui.config.load import ConfigError, TargetFlags, load_config
from infdiag_tui.config_path import FILE_NAME
from infdiag_tui.discovery.choose import choose, interactive, rows
from infdiag_tui.discovery.config_text import config_text
from infdiag_tui.discovery.found import Found, pods_called, search
from infdiag_tui.discovery.score import Candidate
from infdiag_tui.knowledge import SYMPTOMS
from infdiag_tui.streams.kube.kubeconfig import kubeconfig_paths
from infdiag_tui.text import one_line

STANDARD_OUTPUT = "-"


def init(name: str, out: str | None, flags: TargetFlags) -> int:
    """Finds model servers and writes a config for those that are chosen; returns the command's exit code.

    Raises:
        ConfigError: nothing found, several with nobody to ask, or a file that is there or cannot be written.
    """
    path = None if out == STANDARD_OUTPUT else Path(out or FILE_NAME).expanduser()
    if path is not None:
        _refuse_unwritable(path)
    settings = _settings(flags)
    found = _search(name, settings, this_machine=not _names_a_cluster(flags))
    candidates = found.chosen(name)
    if not candidates:
        raise ConfigError(_nothing_found(name, found))
    for sentence in found.looked:
        _say(f"looked at {sentence}")
    chosen = _picked(candidates, several=True)
    if not chosen:
        _say("nothing chosen, nothing written")
        return exit_codes.OK
    kubeconfig = settings.kubeconfig if settings is not None else None
    text = config_text(chosen, kubeconfig=kubeconfig, today=f"{datetime.now(UTC):%Y-%m-%d}")
    if path is None:
        print(text, end="")
        return exit_codes.OK
    if path.exists() and not _agrees(f"{path} is there already. Overwrite it? [y/N] "):
        _say("nothing written")
        return exit_codes.USAGE
    _write(path, text)
    names = ", ".join(dict.fromkeys(one.workload.name for one in chosen))
    _say(f"wrote {path} for {names}; see what works with: infdiag doctor{'' if len(chosen) == 1 else ' NAME'}")
    return exit_codes.OK


def find(name: str, flags: TargetFlags) -> TargetFlags:
    """The flags of the one workload that bears `name`, in a cluster or on this machine.

    Where nothing could be looked at, the flags as they were: the pods panel then says why.

    Raises:
        ConfigError: nothing bears it, or several do and nobody can be asked.
    """
    settings = _settings(flags)
    found = _search(name, settings, this_machine=True)
    candidates = found.chosen(name)
    if not candidates and settings is not None:
        if not found.clusters_read:
            return replace(flags, name_hint=name)
        candidates = asyncio.run(pods_called(name, settings))
    if not candidates:
        raise ConfigError(_nothing_found(name, found))
    picked = _picked(candidates, several=False)
    if not picked:
        raise ConfigError(f"no {one_line(name, 60)!r} was chosen. Name it in full, or its namespace with -n.")
    workload = picked[0].workload
    _say(f"{workload.kind} {workload.name}, {workload.where}; `infdiag init {one_line(name, 60)}` writes that down")
    if workload.pid is not None:
        return replace(flags, pid=workload.pid)
    hint = None if workload.selector else name
    place = replace(flags, context=workload.context or None, namespace=workload.namespace, name_hint=hint)
    return replace(place, selector=workload.selector or None)


def _search(name: str, settings: Kubernetes | None, *, this_machine: bool) -> Found:
    what = f"for {one_line(name, 60)!r} " if name else "for model servers "
    places = [*(["the clusters of the kubeconfig"] if settings else []), *(["this machine"] if this_machine else [])]
    _say(f"looking {what}in {' and on '.join(places)}")
    return asyncio.run(search(settings, this_machine=this_machine))


def _settings(flags: TargetFlags) -> Kubernetes | None:
    """Where to look in clusters; None where there is neither a kubeconfig nor a pod's own account."""
    given = Kubernetes(
        kubeconfig=Path(flags.kubeconfig).expanduser().absolute() if flags.kubeconfig else None,
        context=flags.context or "",
        namespace=flags.namespace or "",
    )
    there = any(path.is_file() for path in kubeconfig_paths(given)) or "KUBERNETES_SERVICE_HOST" in os.environ
    return given if there or _names_a_cluster(flags) else None


def _names_a_cluster(flags: TargetFlags) -> bool:
    return bool(flags.kubeconfig or flags.context or flags.namespace)


def _picked(candidates: Sequence[Candidate], *, several: bool) -> list[Candidate]:
    """The only one, or those that the operator picks.

    Raises:
        ConfigError: there are several and nobody to ask.
    """
    if len(candidates) == 1:
        return list(candidates)
    if interactive():
        return choose(candidates, several=several, read=_ask, say=_say)
    listed = "\n".join(rows(candidates))
    raise ConfigError(
        f"{len(candidates)} workloads may be meant; name one (and its place with --context and -n):\n{listed}"
    )


def _nothing_found(name: str, found: Found) -> str:
    looked = "; ".join(found.looked) or "nothing: there is no kubeconfig here"
    what, hint = "nothing looks like a model server", ""
    if name:
        what = (
            f"{one_line(name, 60)!r} is neither a symptom ({', '.join(SYMPTOMS)}) nor a known model, and nothing that "
            "could be found is called so"
        )
        there = sorted({*SYMPTOMS, *(one.workload.name for one in found.candidates)})
        near = difflib.get_close_matches(name, there, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"{what}. Looked at {looked}.{hint} Name another namespace or context (-n, --context), or what you know of it: "
        "--endpoint URL, --log FILE, --selector app=NAME, --port PORT; `infdiag doctor` says what may be read."
    )


def _refuse_unwritable(path: Path) -> None:
    """Says so before anybody waits for a search.

    Raises:
        ConfigError: the file cannot be written, or is there and nobody can be asked.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path.absolute().parent} is no folder. Make it first, or name another file with --out.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Name a file with --out.")
    if path.exists() and not interactive():
        raise ConfigError(f"{path} is there already and is not overwritten. Name another file with --out FILE.")


def _write(path: Path, text: str) -> None:
    """Writes the file for its owner alone, once it is proved to be a valid config.

    Raises:
        ConfigError: it cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        load_config(new)
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}). Name another file with --out.") from error
    finally:
        new.unlink(missing_ok=True)


def _agrees(question: str) -> bool:
    try:
        return _ask(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _ask(prompt: str) -> str:
    """Like `input`, but asks on standard error: standard output is for data."""
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _say(text: str) -> None:
    print(f"infdiag: {text}" if not text.startswith(" ") else text, file=sys.stderr)
