"""How often and how long the Kubernetes streams wait, in one place so that tests can hurry them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits and limits, in seconds.

    With `pulse_s` + `pulse_timeout_s` twice over, a connection that went silent is noticed within half a minute.
    """

    request_s: float = 15.0
    """A list or another short request unanswered for this long has failed."""
    watch_s: float = 270.0
    """The server is asked to end a watch after this long."""
    watch_grace_s: float = 30.0
    """A watch silent for this much longer than `watch_s` is dead."""
    pulse_s: float = 7.0
    pulse_timeout_s: float = 4.0
    poll_s: float = 5.0
    """Between two lists where watching is denied."""
    denied_s: float = 15.0
    """Until something that was denied or absent is tried again."""
    usage_overdue_s: float = 90.0
    """metrics-server measures every 15 s by default; figures unchanged for this long are called old."""
    plugin_s: float = 30.0
    """A credential plugin that takes longer is ended."""
    reauthenticate_s: float = 10.0
    """At least this long between two forced renewals of credentials."""
    token_file_s: float = 30.0
    """Between two readings of a token file, which Kubernetes replaces long before the token expires."""
    reopen_s: float = 0.5
    reopen_most_s: float = 8.0
    """A followed log that ended is opened again after `reopen_s`, doubling up to this while it brings nothing."""
    log_quiet_s: float = 120.0
    """A followed log that is silent for this long is opened anew, lest its connection be dead."""
    last_words_s: float = 5.0
    """How long an open log may bring the rest of a run that has ended."""
    flush_s: float = 0.5
    """How long the lines of one log entry may trickle in."""
    backoff_first_s: float = 0.5
    backoff_most_s: float = 30.0
    """After a 429 or 5xx: the first pause, doubling up to this."""
    retry_after_most_s: float = 120.0
    """A Retry-After is obeyed up to this: a console that is silent for longer is of no use in an incident."""
