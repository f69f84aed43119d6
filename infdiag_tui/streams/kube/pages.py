"""Long lists, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access

PAGE_SIZE = 500


async def pages(
    client: KubeClient, path: str, query: Mapping[str, str], access: Access, *, accept: str = "application/json"
) -> AsyncGenerator[dict[str, Any], None]:
    """Each page of the list at `path`, as the API server sends it.

    Raises:
        ApiError: as `KubeClient.get_json`; with status 410 when the list expired while it was read.
    """
    token = ""
    while True:
        wanted: dict[str, str | int] = {**query, "limit": PAGE_SIZE}
        if token:
            wanted["continue"] = token
        page = await client.get_json(path, wanted, access, accept=accept)
        yield page
        token = str((page.get("metadata") or {}).get("continue") or "")
        if not token:
            return
