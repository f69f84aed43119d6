"""How a command is started so that whatever becomes of the connection, its processes can be found and ended.

Neither Kubernetes nor SSH ends a command whose client has left. A command is therefore started by a POSIX shell that
says when its own output begins and puts a token into its environment, which all its children inherit; a second command
ends whatever bears that token. Both need nothing there but `sh` and `/proc`, and write nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

_NAME = "infdiag"
"""What the shell calls itself when it complains."""

_VARIABLE = "INFDIAG_RUN"
_START = f'printf "infdiag %s begins\\n" "$1"; export {_VARIABLE}="$1"; shift; exec "$@"'
_END = f"""\
for pass in 1 2 3; do
  found=
  for entry in /proc/[0-9]*; do
    [ -r "$entry/environ" ] || continue
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in *"{_VARIABLE}=$1"*) kill -KILL "${{entry#/proc/}}" && found=yes && ended=yes; break;; esac
    done < "$entry/environ"
  done 2>/dev/null
  [ -n "$found" ] || break
done
echo "${{ended:-none}}"
"""
"""The variables stand in /proc/PID/environ with zero bytes between, which `read` leaves out. More than one pass, for a
process may start another while the first pass goes by."""


def begins(token: str) -> bytes:
    """The line after which the output is the command's own."""
    return f"infdiag {token} begins\n".encode()


def start(command: Sequence[str], token: str) -> tuple[str, ...]:
    """The command that runs `command` under `token`; its exit code is that of `command`, or the shell's 126 or 127."""
    return ("sh", "-c", _START, _NAME, token, *command)


def end(token: str) -> tuple[str, ...]:
    """The command that ends all that runs under `token`; it prints `yes` if there was any, else `none`."""
    return ("sh", "-c", _END, _NAME, token)
