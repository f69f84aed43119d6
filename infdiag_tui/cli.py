"""The command line; imports what a command needs only when that command runs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from infdiag_tui import __version__, exit_codes

if TYPE_CHECKING:
    from infdiag_tui.config.load import TargetFlags

COMMANDS = ("triage", "check", "doctor", "init", "report", "demo", "lab")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_LONGEST_S = 24 * 3600.0


class _Parser(argparse.ArgumentParser):
    """Usage errors are one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints the sentence to standard error and exits."""
        self.exit(exit_codes.USAGE, f"infdiag: {message}. See `{self.prog} --help`.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words and words[0] in COMMANDS else ""
    if not _in_a_folder():
        print("infdiag: the current folder no longer exists. Change to another with cd.", file=sys.stderr)
        return exit_codes.USAGE
    try:
        if command == "triage":
            return _triage(words[1:])
        if command == "check":
            return _check(words[1:])
        if command == "doctor":
            return _doctor(words[1:])
        if command == "init":
            return _init(words[1:])
        if command == "report":
            return _report(words[1:])
        if command == "demo":
            return _demo(words[1:])
        if command == "lab":
            return _lab(words[1:])
        return _console(words)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); what is left to say has no place to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK


def _in_a_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - only to see that it answers
    except OSError:
        return False
    return True


def duration_s(text: str) -> float:
    """Seconds of `30s`, `2m`, `1h`, `500ms` or plain seconds.

    Raises:
        argparse.ArgumentTypeError: not a duration above zero and up to a day.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match.group(1)) * _UNITS_S[match.group(2)] if match else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 30s, 2m or 1h (at most a day)")
    return seconds


def _positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def _text(value: str) -> str:
    if not value.strip():
        # As left by `--endpoint "$URL"` with URL unset: to go on without it would watch something else.
        raise argparse.ArgumentTypeError("is empty; give a value or leave the flag out")
    return value


def _target_parser(prog: str, description: str) -> _Parser:
    parser = _Parser(prog=prog, description=description)
    parser.add_argument("what", nargs="?", metavar="SYMPTOM_OR_MODEL", help="what is wrong, or with which model")
    target = _add_target_flags(parser)
    target.add_argument("--rate", type=float, metavar="PER_S", help="probe requests per second (default 1)")
    target.add_argument("--timeout", type=duration_s, metavar="TIME", help="limit of one probe request (default 5s)")
    return parser


def _add_target_flags(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    parser.add_argument(
        "--config", type=_text, metavar="FILE", help="config file (default: ./infdiag.toml, else the user's)"
    )
    parser.add_argument("--out", type=_text, metavar="DIR", help="folder for this incident's report")
    target = parser.add_argument_group("targets (each overrides the config)")
    target.add_argument("--endpoint", type=_text, metavar="URL", help="predict URL of the model server")
    target.add_argument(
        "--via", choices=("direct", "proxy", "port-forward", "ssh"), help="the way to that URL, which k8s:// URLs need"
    )
    target.add_argument("--protocol", choices=("json", "v2", "openai"), help="how the server is spoken to")
    target.add_argument("--body-file", type=_text, metavar="FILE", help="JSON file with the known-good input")
    target.add_argument(
        "--log", type=_text, action="append", default=[], metavar="FILE", help="log file to follow (repeatable)"
    )
    target.add_argument("--kubeconfig", type=_text, metavar="FILE")
    target.add_argument("--context", type=_text, help="context of the kubeconfig")
    target.add_argument("--namespace", "-n", type=_text, help="namespace of the model's pods")
    target.add_argument("--selector", "-l", type=_text, help="label selector of the model's pods, such as app=NAME")
    target.add_argument("--exec-pod", type=_text, metavar="NAME", help="the pod that checks run commands in")
    target.add_argument("--exec-container", type=_text, metavar="NAME", help="its container")
    target.add_argument(
        "--ssh", type=_text, metavar="[USER@]HOST[:PORT]", help="the model server's host, when it is no pod"
    )
    target.add_argument("--dcgm-url", type=_text, metavar="URL", help="metrics URL of a dcgm-exporter")
    target.add_argument("--pid", type=_positive_int, help="the model server's process on this machine, by pid,")
    target.add_argument("--process", type=_text, metavar="NAME", help="by name,")
    target.add_argument("--port", type=_positive_int, help="or by the port that it listens on")
    return target


def _flags(given: argparse.Namespace) -> TargetFlags:
    from infdiag_tui.config.load import TargetFlags

    # A check's own parameter may have taken a flag's name: then that flag was not typed for the target.
    typed = vars(given)
    return TargetFlags(
        endpoint=typed.get("endpoint"),
        via=typed.get("via"),
        protocol=typed.get("protocol"),
        body_file=typed.get("body_file"),
        rate_per_s=typed.get("rate"),
        timeout_s=typed.get("timeout"),
        logs=tuple(typed.get("log") or ()),
        kubeconfig=typed.get("kubeconfig"),
        context=typed.get("context"),
        namespace=typed.get("namespace"),
        selector=typed.get("selector"),
        exec_pod=typed.get("exec_pod"),
        exec_container=typed.get("exec_container"),
        ssh=typed.get("ssh"),
        dcgm_url=typed.get("dcgm_url"),
        pid=typed.get("pid"),
        process_name=typed.get("process"),
        port=typed.get("port"),
    )


def _console(words: Sequence[str]) -> int:
    parser = _target_parser(
        "infdiag",
        "A live console for triaging production ML inference incidents. "
        "Other commands: infdiag triage (no screen), infdiag demo (an example incident), infdiag lab.",
    )
    parser.add_argument("--version", action="version", version=f"infdiag {__version__}")
    _add_screen_flags(parser)
    given = parser.parse_args(words)
    return _run_console(given, given.what, given.config)


def _add_screen_flags(parser: argparse.ArgumentParser) -> None:
    screen = parser.add_argument_group("screen")
    screen.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    screen.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    screen.add_argument("--refresh", type=duration_s, default=0.5, metavar="TIME", help="time between redraws")


def _run_console(given: argparse.Namespace, what: str | None, config_path: str | None) -> int:
    from infdiag_tui.terminal import NoTerminalError, prepare_environment, require_terminal

    try:
        require_terminal()
    except NoTerminalError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE
    prepare_environment(os.environ)
    flags = None
    if what and _is_unknown(what, given):
        # Asked before the screen is drawn: of several that bear the name the operator picks one.
        from infdiag_tui.config.load import ConfigError

        try:
            flags = _found(what, given)
        except ConfigError as error:
            print(f"infdiag: {error}", file=sys.stderr)
            return exit_codes.USAGE
    from infdiag_tui.app import run_console
    from infdiag_tui.engine import Engine

    def build() -> Session:
        from infdiag_tui.start import make_session

        return make_session(what, config_path, flags or _flags(given), given.out)

    return run_console(
        Engine(build, refresh_s=min(given.refresh, 1.0)),
        title=what or "",
        refresh_s=given.refresh,
        ascii_only=given.ascii,
        mouse=not given.no_mouse,
    )


def _triage(words: Sequence[str]) -> int:
    parser = _target_parser("infdiag triage", "Watches without a screen, then prints what was found.")
    parser.add_argument("--for", dest="duration", type=duration_s, default=30.0, metavar="TIME", help="default 30s")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--no-checks", action="store_true", help="only watch; run no read-only check unasked")
    given = parser.parse_args(words)
    from infdiag_tui.config.load import ConfigError
    from infdiag_tui.headless import run
    from infdiag_tui.start import make_session

    try:
        session = make_session(given.what, given.config, _found(given.what, given), given.out, need_target=True)
    except ConfigError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE
    if not given.no_checks:
        session.check_by_itself()
    return run(session, given.duration, as_json=given.json)


def _check(words: Sequence[str]) -> int:
    from checks.registry import all_checks

    known = all_checks()
    if not words or words[0] in ("--list", "-h", "--help"):
        width = max((len(name) for name in known), default=0)
        rows = [f"{one.name:{width}}  step {one.step}  {one.impact.value:9}  {one.title}" for one in known.values()]
        print("\n".join(rows))
        return exit_codes.OK
    name = words[0]
    parser = _Parser(prog=f"infdiag check {name}", conflict_handler="resolve")
    if name not in known:
        parser.error(f"no check {name!r}; there are {', '.join(known)}")
    check = known[name]
    parser.description = (check.__doc__ or check.title).strip().splitlines()[0]
    parser.add_argument("what", nargs="?", metavar="MODEL", help="the model of the config that it is about")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--yes", action="store_true", help="agree to what a check with load or exec will do")
    _add_target_flags(parser)
    from infdiag_tui.check_flags import add_flags, read_params

    add_flags(parser, check.params)
    given = parser.parse_args(words[1:])
    from infdiag_tui.check_command import run
    from infdiag_tui.check_config import configured
    from infdiag_tui.config.load import ConfigError
    from infdiag_tui.start import incident_folder
    from infdiag_tui.targets import resolve_target

    try:
        target = resolve_target(given.what, given.config, _found(given.what, given))
        where = f"[models.{target.model_name}.checks.{name}]"
        params = read_params(check.params, configured(check, target), given, where)
        folder = incident_folder(target, given.out)
    except ConfigError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE
    return run(check, params, target, folder, confirmed=given.yes, as_json=given.json)


def _doctor(words: Sequence[str]) -> int:
    parser = _Parser(
        prog="infdiag doctor",
        description="What can be reached, with which permissions; what is missing, and the exact remedy.",
    )
    parser.add_argument("what", nargs="?", metavar="MODEL", help="the model of the config that it is about")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--rbac", action="store_true", help="only print the Kubernetes Roles that infdiag needs")
    parser.add_argument(
        "--for", dest="watch", type=duration_s, default=0.0, metavar="TIME", help="watch so long; counts API requests"
    )
    _add_target_flags(parser)
    given = parser.parse_args(words)
    from infdiag_tui.config.load import ConfigError
    from infdiag_tui.doctor.command import print_roles, run
    from infdiag_tui.targets import resolve_target

    try:
        target = resolve_target(given.what, given.config, _found(given.what, given))
    except ConfigError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE
    return print_roles(target) if given.rbac else run(target, as_json=given.json, watch_s=given.watch)


def _init(words: Sequence[str]) -> int:
    parser = _Parser(
        prog="infdiag init",
        description="Finds model servers in the clusters of the kubeconfig and on this machine, and writes a config.",
    )
    parser.add_argument(
        "name", nargs="?", default="", metavar="NAME", help="a deployment's, service's or process's name"
    )
    parser.add_argument(
        "--out", type=_text, metavar="FILE", help="file to write (default: ./infdiag.toml; -: print it)"
    )
    parser.add_argument("--kubeconfig", type=_text, metavar="FILE")
    parser.add_argument("--context", type=_text, help="look in this context only (default: in every one)")
    parser.add_argument("--namespace", "-n", type=_text, help="look in this namespace only")
    given = parser.parse_args(words)
    from infdiag_tui.config.load import ConfigError
    from infdiag_tui.discovery.command import init

    try:
        return init(given.name, given.out, _flags(given))
    except ConfigError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE


def _is_unknown(what: str, given: argparse.Namespace) -> bool:
    """Whether `what` is neither a symptom nor a model of the config; imports nothing heavy."""
    from infdiag_tui.config_path import names_model
    from infdiag_tui.knowledge import SYMPTOMS

    return what not in SYMPTOMS and not names_model(what, given.config)


def _found(what: str | None, given: argparse.Namespace) -> TargetFlags:
    """The target flags; where neither they nor the config say where `what` is, those of what bears that name.

    Raises:
        ConfigError: nothing bears it, or several do and nobody can be asked.
    """
    flags = _flags(given)
    if not what or flags.any or not _is_unknown(what, given):
        return flags
    from infdiag_tui.discovery.command import find

    return find(what, flags)


def _report(words: Sequence[str]) -> int:
    parser = _Parser(prog="infdiag report", description="Prints the saved report of an incident.")
    parser.add_argument("folder", metavar="DIR", type=_text, help="the incident's folder")
    parser.add_argument("--format", choices=("md", "html", "json"), default="md", help="default md")
    given = parser.parse_args(words)
    from pathlib import Path

    from infdiag_tui.report.bundle import SavedReportError, saved_report

    try:
        text = saved_report(Path(given.folder).expanduser(), given.format)
    except SavedReportError as error:
        print(f"infdiag: {error}", file=sys.stderr)
        return exit_codes.USAGE
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
    return exit_codes.OK


def _demo(words: Sequence[str]) -> int:
    parser = _target_parser("infdiag demo", "The console on an example incident: real servers, a simulated cluster.")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--seed", type=int, default=0)
    _add_screen_flags(parser)
    given = parser.parse_args(words)
    from infdiag_tui.lab import scenarios

    known = scenarios()
    if given.list:
        width = max(len(name) for name in known)
        print("\n".join(f"{name:{width}}  {text}" for name, text in known.items()))
        return exit_codes.OK
    scenario = given.what or "memory-leak"
    if scenario not in known:
        parser.error(f"no scenario {scenario!r}; there are {', '.join(known)}")
    from infdiag_tui.lab.demo import with_lab

    return with_lab(scenario, given.seed, lambda config: _run_console(given, None, str(config)))


def _lab(words: Sequence[str]) -> int:
    from infdiag_tui.lab.main import main as lab_main

    return lab_main(words)


if TYPE_CHECKING:
    from infdiag_tui.session import Session
