"""Packs the child's modules and its job into one piece of standard input, so that nothing is written where it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import checks.profile_child

LOADER = """\
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import json, types
left, parts = int(sys.argv[1]), []
while left:
    part = sys.stdin.buffer.read(left)
    if not part:
        raise SystemExit("the job did not arrive whole")
    parts.append(part)
    left -= len(part)
bundle = json.loads(b"".join(parts).decode("utf-8"))
packages = ["checks", "checks.profile_child"]
own = {name: sys.modules.pop(name) for name in packages if name in sys.modules}
for name in packages:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
for name, source in bundle["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
entry = sys.modules["checks.profile_child." + bundle["entry"]]
channel = sys.modules["checks.profile_child.channel"]
for name in packages + [name for name, _ in bundle["modules"]]:
    del sys.modules[name]
sys.modules.update(own)
channel.serve(entry.run, bundle["job"])
"""
"""Reads exactly as many bytes as its first argument says (a container's standard input may never end), then leaves the
names that it used to the model's own code."""

SWEEPER = """\
import glob, os, shutil, signal, sys
token, own = sys.argv[1], os.getpid()
for entry in os.listdir("/proc"):
    try:
        words = open("/proc/" + entry + "/cmdline", "rb").read().split(b"\\0") if entry.isdigit() else []
        if int(entry or 0) != own and token.encode() in words and b"-c" in words:
            os.kill(int(entry), signal.SIGKILL)
    except (OSError, ValueError):
        pass
for parent in ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm", os.environ.get("TMPDIR", "/tmp"), os.getcwd()):
    for folder in glob.glob(os.path.join(parent, "infdiag-profile-" + token + "-*")):
        shutil.rmtree(folder, ignore_errors=True)
"""
"""Ends a child that was left alone and removes its folder; the token in its command line names it."""

_ORDER = ("channel", "loading", "trace")


def pack(entry: str, job: Mapping[str, Any]) -> bytes:
    """What the loader reads: the sources in the order of their imports, the module to run, and its job."""
    folder = Path(checks.profile_child.__file__).parent
    names = (*_ORDER, entry)
    modules = [(f"checks.profile_child.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in names]
    return json.dumps({"modules": modules, "entry": entry, "job": dict(job)}).encode()


def command(python: str, payload: bytes, token: str) -> tuple[str, ...]:
    """The command that runs a packed job from its standard input."""
    return python, "-c", LOADER, str(len(payload)), token


def sweep(python: str, token: str) -> tuple[str, ...]:
    """The command that ends and cleans up what `command` with the same token started."""
    return python, "-c", SWEEPER, token
