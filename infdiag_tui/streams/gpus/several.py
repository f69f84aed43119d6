"""Reads the GPUs of several places side by side; what fails in one costs only that one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from infdiag_tui.model import GpuDevice
from infdiag_tui.streams.base import SourceError

Place = TypeVar("Place")


async def read_all(
    places: Sequence[Place],
    read: Callable[[Place], Awaitable[list[GpuDevice]]],
    name: Callable[[Place], str],
    at_once: int,
) -> tuple[list[GpuDevice], dict[str, SourceError]]:
    """The GPUs of all places in their order, and by name the failures of those that gave none.

    Args:
        places: where to read.
        read: reads one place.
        name: under which a place's failure is told.
        at_once: so many are read side by side.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(place: Place) -> list[GpuDevice] | SourceError:
        async with gate:
            try:
                return await read(place)
            except SourceError as error:
                return error

    answers = await asyncio.gather(*(one(place) for place in places))
    told = zip(places, answers, strict=True)
    failed = {name(place): answer for place, answer in told if isinstance(answer, SourceError)}
    return [gpu for answer in answers if isinstance(answer, list) for gpu in answer], failed
