"""Known-good requests sent in turn, with what the client sees of each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from checks.base import CheckError, Sender
from checks.stages_parts.server_timing import header_of, parse_server_timing
from infdiag_tui.config.schema import Endpoint
from infdiag_tui.model import Progress
from infdiag_tui.text import clean, one_line

_GIVE_UP_AFTER = 3
"""So many failures before the first answer end it: the rest would fail as well, each after its timeout."""

_MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the requests: the client's times of those answered, Server-Timing headers, and failures."""

    client_ms: tuple[float, ...] = ()
    timings: tuple[dict[str, float], ...] = ()
    failures: tuple[str, ...] = ()


async def send(
    sender: Sender,
    body: Any,
    count: int,
    *,
    interval_s: float,
    timeout_s: float,
    report: Callable[[Progress], None],
    after_each: Callable[[], Awaitable[None]] | None = None,
) -> Sent:
    """Sends `count` requests one after the other, `interval_s` apart. Stops when the server answers none."""
    times: list[float] = []
    timings: list[dict[str, float]] = []
    failures: list[str] = []
    for index in range(count):
        answer = await sender.predict(body, timeout_s=timeout_s)
        if answer.ok:
            times.append(answer.total_ms)
            timing = parse_server_timing(header_of(answer.headers))
            if timing:
                timings.append(timing)
        else:
            failures.append(one_line(clean(answer.error or f"status {answer.status}"), 150))
        if not times and len(failures) >= _GIVE_UP_AFTER:
            break
        if after_each is not None:
            await after_each()
        report(Progress(f"request {index + 1} of {count}", (index + 1) / count))
        if index + 1 < count:
            await asyncio.sleep(interval_s)
    return Sent(tuple(times), tuple(timings), tuple(failures))


async def known_good(endpoint: Endpoint) -> Any:
    """The known-good input of the config; None where the endpoint is asked without one.

    Raises:
        CheckError: its file cannot be read.
    """
    path = endpoint.body_file
    if path is None:
        return endpoint.body

    def read() -> Any:
        with path.open("rb") as file:
            raw = file.read(_MAX_BODY_BYTES + 1)
        if len(raw) > _MAX_BODY_BYTES:
            raise CheckError(f"endpoint.body_file {path} is larger than {_MAX_BODY_BYTES // 1024 // 1024} MiB.")
        return json.loads(raw)

    try:
        return await asyncio.to_thread(read)
    except OSError as error:
        raise CheckError(one_line(clean(f"endpoint.body_file {path} cannot be read: {error.strerror}."))) from error
    except (ValueError, RecursionError) as error:
        raise CheckError(one_line(clean(f"endpoint.body_file {path} is no JSON."))) from error
