"""The feature store: a process of its own that model servers ask for what it holds of merchants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from infdiag_tui.lab.http1 import HttpError, read_body, read_head
from infdiag_tui.lab.world import store_score


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(HttpError, ConnectionError):
        while (request := await read_head(reader)) is not None:
            body = await read_body(reader, request)
            status, answer = _answer(body)
            content = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            await writer.drain()
    writer.close()


def _answer(body: bytes) -> tuple[str, dict[str, object]]:
    try:
        merchants = json.loads(body)["merchants"]
        return "200 OK", {"scores": [store_score(merchant) for merchant in merchants]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "400 Bad Request", {"error": "the body needs a list named 'merchants'"}


async def _run(host: str, port: int) -> None:
    server = await asyncio.start_server(_serve, host, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(sys.argv[1], int(sys.argv[2])))
