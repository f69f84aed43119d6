"""Debian's Prometheus on loopback, scraping a page that a test can change, with an hour of the past if wanted."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support import eventually_blocking, need_tool


class Exporter:
    """A metrics page on a thread of its own."""

    def __init__(self, page: str | Callable[[], bytes] = "", content_type: str = "text/plain; version=0.0.4") -> None:
        self.page = page
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.page
                body = page.encode() if isinstance(page, str) else page()
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class RealPrometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query, for tests to know when something has been scraped."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{urlencode({'query': promql})}", timeout=2) as reply:
                found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
                return found
        except OSError:
            return []


@contextmanager
def prometheus(
    folder: Path, targets: dict[str, str], *, past: str = "", labels: dict[str, dict[str, str]] | None = None
) -> Iterator[RealPrometheus]:
    """Runs it over `targets` (address: job); `past` is OpenMetrics text with time stamps, there before it starts.

    `labels` are what discovery adds to a job's targets.
    """
    program = need_tool("prometheus", "prometheus")
    data = folder / "data"
    if past:
        tool = need_tool("promtool", "prometheus")
        (folder / "past.txt").write_text(past)
        made = [tool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "past.txt"), str(data)]
        subprocess.run(made, check=True, capture_output=True)
    jobs = "".join(
        f"  - job_name: {job}\n"
        f"    static_configs: [{{targets: ['{address}'], labels: {json.dumps((labels or {}).get(job, {}))}}}]\n"
        for address, job in targets.items()
    )
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs or '  []'}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        "--enable-feature=native-histograms",
    ]
    running = RealPrometheus(f"http://127.0.0.1:{port}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            eventually_blocking(lambda: running.ask("vector(1)") or process.poll() is not None, 30)
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            yield running
        finally:
            process.terminate()
            process.wait(10)
