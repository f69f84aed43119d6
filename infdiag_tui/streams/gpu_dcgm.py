"""GPUs of other machines, polled from dcgm-exporter's metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Observation
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.dcgm_text import Entity, dcgm_devices, parse
from infdiag_tui.streams.gpu_samples import samples
from infdiag_tui.streams.gpus.account import GpuAccount, XidMemory, lost_cards
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import httpx

REQUEST_TIMEOUT_S = 5.0
PARSE_TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 16 * 1024 * 1024


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The dcgm-exporter stream, when the config names a URL."""
    if not config.gpu.dcgm_url:
        return []
    return [GpuDcgmStream(config.gpu.dcgm_url, config.gpu.interval_s, context)]


class GpuDcgmStream:
    """A `GpuDevice` with samples for each GPU and MIG instance that the exporter tells of, every `interval_s`.

    The exporter's own readings are up to 30 s old by its default settings; `at` is when they were fetched. GPUs seen
    once stay in sight (as lost) when the exporter stops telling of them, also over failures of the stream.
    """

    name = "dcgm"

    def __init__(
        self,
        url: str,
        interval_s: float,
        context: StreamContext,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.stale_after_s = max(15.0, 3 * interval_s)
        self._url = url
        self._shown_url = one_line(clean(url), 200)
        self._interval_s = interval_s
        self._clock = context.clock
        self._user_agent = context.user_agent
        self._timeout_s = timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._thread = SoleThread("dcgm", context.clock.monotonic)
        self._account = GpuAccount("dcgm-exporter")
        self._xids = XidMemory()

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled; raises `SourceError` when the exporter can't be reached or makes no sense."""
        told: dict[str, Trouble] = {}
        try:
            client = await self._thread.call(self._client, timeout_s=PARSE_TIMEOUT_S)
            async with client:
                while True:
                    began = self._clock.monotonic()
                    entities = await self._parsed(await self._fetch(client))
                    now = self._clock.now()
                    devices = self._account.take(dcgm_devices(entities, self._xids, now))
                    troubles = lost_cards(devices)
                    for status in changes(told, troubles, now):
                        yield status
                    told = troubles
                    for gpu in devices:
                        yield gpu
                        for sample in samples(gpu):
                            yield sample
                    await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))
        except StuckCallError as stuck:
            raise SourceError(
                f"the reply of {self._shown_url} could not be read within {stuck.waited_s:.0f} s",
                remedy="this machine is overloaded, or the URL is not dcgm-exporter's",
            ) from stuck
        finally:
            self._thread.close()

    def _client(self) -> httpx.AsyncClient:
        # Importing it and loading the certificate store takes a tenth of a second: not on the event loop.
        import httpx

        headers = {"user-agent": self._user_agent, "accept": "text/plain", "accept-encoding": "identity"}
        return httpx.AsyncClient(headers=headers, timeout=self._timeout_s)

    async def _fetch(self, client: httpx.AsyncClient) -> str:
        import httpx

        remedy = f"check gpu.dcgm_url with `curl {self._shown_url}`"
        try:
            async with asyncio.timeout(2 * self._timeout_s), client.stream("GET", self._url) as reply:
                if reply.status_code != httpx.codes.OK:
                    raise SourceError(f"{self._shown_url} answers with status {reply.status_code}", remedy=remedy)
                body = bytearray()
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > self._max_reply_bytes:
                        limit = f"{self._max_reply_bytes / 1024 / 1024:.0f} MiB"
                        raise SourceError(f"the reply of {self._shown_url} is larger than {limit}", remedy=remedy)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SourceError(
                f"{self._shown_url} does not answer within {self._timeout_s:g} s",
                remedy=f"{remedy}; a firewall or a busy node may be in between",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = one_line(clean(str(error)), 200) or type(error).__name__
            raise SourceError(f"{self._shown_url} cannot be reached: {detail}", remedy=remedy) from error
        return body.decode("utf-8", "replace")

    async def _parsed(self, text: str) -> list[Entity]:
        remedy = "point gpu.dcgm_url at dcgm-exporter's metrics, usually http://NODE:9400/metrics"
        try:
            entities = await self._thread.call(lambda: parse(text), timeout_s=PARSE_TIMEOUT_S)
        except ValueError as error:
            raise SourceError(
                f"the reply of {self._shown_url} is not in Prometheus text format: {one_line(clean(str(error)), 120)}",
                remedy=remedy,
            ) from error
        if not entities and self._account.empty:
            raise SourceError(f"the reply of {self._shown_url} tells of no GPU", remedy=remedy)
        return entities
