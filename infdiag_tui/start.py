"""Puts a session together: target, folder, streams. Imports what is heavy, so it is called late."""

from __future__ import annotations

import logging
from pathlib import Path

from checks.registry import all_checks
from infdiag_tui import __version__
from infdiag_tui.clock import SystemClock
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.incident import claim, create_folder, log_to, use_folder
from infdiag_tui.knowledge.own import Knowledge, load_knowledge
from infdiag_tui.remote.beside import way_for_streams
from infdiag_tui.report.own_template import ReportTemplate, load_template
from infdiag_tui.session import Session
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.registry import build_streams
from infdiag_tui.targets import Target, require_something_to_watch, resolve_target

log = logging.getLogger(__name__)


def make_session(
    word: str | None,
    config_path: str | None,
    flags: TargetFlags,
    out: str | None,
    *,
    need_target: bool = False,
) -> Session:
    """A session ready to run.

    Args:
        word: a symptom or a model's name, as typed.
        config_path: the config file named on the command line.
        flags: targets named on the command line.
        out: the incident's folder, if the operator named one.
        need_target: refuse to watch nothing but this machine.

    Raises:
        ConfigError: wrong config, no such target, or a folder that cannot be made.
    """
    clock = SystemClock()
    target = resolve_target(word, config_path, flags)
    if need_target:
        require_something_to_watch(target)
    context = StreamContext(clock=clock, user_agent=f"infdiag/{__version__}")
    context.beside = way_for_streams(target, context)
    streams = build_streams(target.model, context)
    folder = incident_folder(target, out)
    return Session(target, streams, folder, clock, own_knowledge(target), own_template(target))


def own_knowledge(target: Target) -> Knowledge:
    """The causes to weigh, with those of the own folder; what of it is refused goes to the log as well."""
    own = target.config.knowledge_dir
    knowledge = load_knowledge(own, all_checks() if own else ())
    for problem in knowledge.problems:
        log.warning("%s", problem)
    return knowledge


def own_template(target: Target) -> ReportTemplate:
    """The report's template; why an own one is refused goes to the log as well."""
    template = load_template(target.config.report_template)
    if template.problem:
        log.warning("%s", template.problem)
    return template


def incident_folder(target: Target, out: str | None) -> Path:
    """The incident's folder, made if need be, with the program's own log going there.

    Raises:
        ConfigError: it cannot be made, or another infdiag is at work in it.
    """
    folder = (
        use_folder(Path(out).expanduser().absolute())
        if out
        else create_folder(target.config.incidents_dir, target.model_name, SystemClock().now())
    )
    claim(folder)
    log_to(folder)
    return folder
