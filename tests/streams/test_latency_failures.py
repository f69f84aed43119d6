"""Every way in which a probe can fail, each made to happen by a real server, and the sentence that tells it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from infdiag_tui.config import Protocol
from infdiag_tui.model import ErrorKind, Reply, SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.probe import exchange
from tests.streams.latency_servers import (
    first_status,
    http_server,
    json_reply,
    probe,
    raw_server,
    read_request,
    replies_of,
)


def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def answer(request: web.Request) -> web.Response:
    del request
    return web.json_response({"ok": 1})


async def test_connection_refused() -> None:
    port = unused_port()

    reply, status = await first_status(probe(f"http://127.0.0.1:{port}/"))

    assert (reply.error, reply.error_text) == (ErrorKind.CONNECT, f"connection refused by 127.0.0.1:{port}")
    assert (status.state, status.reason) == (SourceState.UNAVAILABLE, reply.error_text)
    assert status.remedy


async def test_a_name_that_does_not_exist() -> None:
    reply, status = await first_status(probe("http://no-such-host.invalid:8000/"))

    assert reply.error is ErrorKind.DNS
    assert reply.error_text.startswith("cannot resolve the host name no-such-host.invalid: ")
    assert status.state is SourceState.UNAVAILABLE
    assert "DNS" in status.remedy


async def test_a_host_that_cannot_be_a_name() -> None:
    (reply,) = await replies_of(probe(f"http://{'a' * 70}.invalid/"), 1)

    assert reply.error is ErrorKind.DNS


async def test_an_expired_certificate_is_told_with_its_date(authority: trustme.CA, tmp_path: Path) -> None:
    expired = datetime(2026, 1, 2, 12, tzinfo=UTC)
    leaf = authority.issue_cert("127.0.0.1", not_before=expired - timedelta(days=90), not_after=expired)

    async with http_server(answer, tls=server_tls(leaf)) as url:
        reply, status = await first_status(probe(url, ca_file=tmp_path / "ca.pem"))

    server = url.removeprefix("https://")
    assert (reply.error, reply.error_text) == (ErrorKind.TLS, f"the certificate of {server} expired on 2026-01-02")
    assert (status.state, status.remedy) == (SourceState.UNAVAILABLE, "renew the server's certificate")


async def test_an_unknown_authority(authority: trustme.CA) -> None:
    async with http_server(answer, tls=server_tls(authority.issue_cert("127.0.0.1"))) as url:
        reply, status = await first_status(probe(url))

    assert reply.error is ErrorKind.TLS
    assert "unable to get local issuer certificate" in reply.error_text
    assert "ca_file" in status.remedy


async def test_a_certificate_for_another_name(authority: trustme.CA, tmp_path: Path) -> None:
    async with http_server(answer, tls=server_tls(authority.issue_cert("model.example"))) as url:
        reply, status = await first_status(probe(url, ca_file=tmp_path / "ca.pem"))

    assert reply.error is ErrorKind.TLS
    assert "not valid for '127.0.0.1'" in reply.error_text
    assert "host name" in status.remedy


async def test_tls_works_with_the_right_authority_and_is_timed(authority: trustme.CA, tmp_path: Path) -> None:
    async with http_server(answer, tls=server_tls(authority.issue_cert("localhost", "127.0.0.1"))) as url:
        named = url.replace("127.0.0.1", "localhost")
        fresh, reused = (await replies_of(probe(named, ca_file=tmp_path / "ca.pem"), 2))[:2]

    assert fresh.ok
    assert fresh.phases.tls_ms is not None
    assert fresh.phases.tls_ms > 0
    assert (reused.ok, reused.reused, reused.phases.tls_ms) == (True, True, None)


async def test_any_certificate_is_accepted_when_asked_for(authority: trustme.CA) -> None:
    async with http_server(answer, tls=server_tls(authority.issue_cert("other.example"))) as url:
        (reply,) = await replies_of(probe(url, verify_tls=False), 1)

    assert reply.ok


async def test_https_to_a_plain_server() -> None:
    async with http_server(answer) as url:
        reply, status = await first_status(probe(url.replace("http:", "https:")))

    assert reply.error is ErrorKind.TLS
    assert reply.error_text.endswith("does not speak TLS")
    assert "http://" in status.remedy


async def test_a_connection_closed_during_the_handshake() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with raw_server(hang_up) as port:
        (reply,) = await replies_of(probe(f"https://127.0.0.1:{port}/"), 1)

    assert reply.error is ErrorKind.TLS


async def test_a_server_that_never_answers_times_out_while_waiting() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(mute) as port:
        reply, status = await first_status(probe(f"http://127.0.0.1:{port}/", timeout_s=0.3, rate_per_s=5))

    assert reply.error is ErrorKind.TIMEOUT
    assert reply.error_text == (f"no reply from 127.0.0.1:{port} within 0.3 s (given up while waiting for the reply)")
    assert reply.total_ms >= 300
    assert reply.phases.wait_ms is None
    assert status.state is SourceState.UNAVAILABLE


async def test_a_reply_that_stops_halfway_times_out_while_receiving() -> None:
    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(json_reply(b"{" + b" " * 500)[:-100])
        await reader.read()

    async with raw_server(halting) as port:
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/", timeout_s=0.3, rate_per_s=5), 1)

    assert reply.error is ErrorKind.TIMEOUT
    assert "while receiving the reply" in reply.error_text
    assert reply.status == 200


async def test_a_connection_that_does_not_come_about_times_out_while_connecting() -> None:
    # A full accept queue drops further connection attempts on Linux: they wait.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/", timeout_s=0.3, rate_per_s=5), 1)
        for filler in fillers:
            filler.close()

    assert reply.error is ErrorKind.TIMEOUT
    assert "while connecting" in reply.error_text


async def test_a_server_that_hangs_up_instead_of_replying() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with raw_server(hang_up) as port:
        reply, status = await first_status(probe(f"http://127.0.0.1:{port}/"))

    assert reply.error is ErrorKind.DISCONNECT
    assert reply.error_text == f"127.0.0.1:{port} closed the connection instead of replying"
    assert status.state is SourceState.UNAVAILABLE


async def test_a_server_that_hangs_up_in_mid_reply() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(json_reply(b"{" + b" " * 500)[:-100])

    async with raw_server(hang_up) as port:
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/"), 1)

    assert reply.error is ErrorKind.DISCONNECT
    assert "in the middle of the reply" in reply.error_text


async def test_a_reset_connection() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        raw = writer.get_extra_info("socket")
        # Lingering for zero seconds makes the kernel send RST instead of FIN.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with raw_server(reset) as port:
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/"), 1)

    assert reply.error is ErrorKind.DISCONNECT
    assert "reset the connection" in reply.error_text


async def second_request_fails(port_talks: list[int], delay_s: float, count: int) -> list[Reply]:
    """Replies from a server that closes its first connection `delay_s` after a second request came in on it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port_talks.append(1)
        first = len(port_talks) == 1
        while True:
            await read_request(reader)
            writer.write(json_reply())
            if first:
                await reader.readexactly(1)
                await asyncio.sleep(delay_s)
                return

    async with raw_server(talk) as port:
        return await replies_of(probe(f"http://127.0.0.1:{port}/", rate_per_s=20), count)


async def test_a_request_that_crossed_with_an_idle_close_is_sent_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # How soon the close is seen depends on this machine's load; what is tested is what follows from "soon".
    monkeypatch.setattr(exchange, "_IDLE_CLOSE_MARGIN_S", 5.0)
    connections: list[int] = []

    replies = await second_request_fails(connections, 0.0, 4)

    assert [reply.ok for reply in replies] == [True] * 4
    assert [reply.reused for reply in replies] == [False, False, True, True]
    assert len(connections) == 2


async def test_a_server_that_dies_of_a_request_on_a_kept_connection_is_a_disconnect() -> None:
    replies = await second_request_fails([], 0.4, 20)

    failed = [reply for reply in replies if not reply.ok]
    assert [reply.error for reply in failed] == [ErrorKind.DISCONNECT]
    assert "closed a kept-alive connection instead of replying" in failed[0].error_text


async def test_a_connection_closed_while_idle_is_simply_replaced() -> None:
    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(json_reply())

    async with raw_server(one_each) as port:
        replies = await replies_of(probe(f"http://127.0.0.1:{port}/", rate_per_s=20), 4)

    assert [(reply.ok, reply.reused) for reply in replies] == [(True, False)] * 4


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (500, "CUDA error:\n device-side assert", "HTTP 500 Internal Server Error: CUDA error: device-side assert"),
        (503, "", "HTTP 503 Service Unavailable"),
        # Python 3.13 calls it by its newer name.
        (422, '{"detail":"field required"}', f'HTTP 422 {HTTPStatus(422).phrase}: {{"detail":"field required"}}'),
        (401, "\x1b[31mtoken=abcdef123456 refused\x1b[0m", "HTTP 401 Unauthorized: token=[redacted] refused"),
    ],
)
async def test_an_error_status_quotes_what_the_server_says_cleaned(status: int, body: str, text: str) -> None:
    async def fail(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status, text=body)

    async with http_server(fail) as url:
        reply, state = await first_status(probe(url))

    assert (reply.error, reply.status, reply.error_text) == (ErrorKind.HTTP_STATUS, status, text)
    assert (state.state, state.reason) == (SourceState.DEGRADED, text)
    assert state.remedy


async def test_a_huge_error_page_is_quoted_short() -> None:
    async def fail(request: web.Request) -> web.Response:
        del request
        return web.Response(status=502, text="<html>" + "x" * 300_000)

    async with http_server(fail) as url:
        (reply,) = await replies_of(probe(url), 1)

    assert reply.error is ErrorKind.HTTP_STATUS
    assert len(reply.error_text) < 250


async def test_a_redirect_is_told_not_followed() -> None:
    async def redirect(request: web.Request) -> web.Response:
        del request
        return web.Response(status=307, headers={"Location": "http://elsewhere.example/predict"})

    async with http_server(redirect) as url:
        reply, state = await first_status(probe(url))

    assert reply.error_text == "HTTP 307 Temporary Redirect, redirects to http://elsewhere.example/predict"
    assert "endpoint.url" in state.remedy


async def test_a_reply_that_is_not_json_is_degraded() -> None:
    async def page(request: web.Request) -> web.Response:
        del request
        return web.Response(text="<html>Welcome to nginx!</html>", content_type="text/html")

    async with http_server(page) as url:
        reply, state = await first_status(probe(url))

    assert reply.error is ErrorKind.BAD_REPLY
    assert reply.error_text == "the reply is not JSON: <html>Welcome to nginx!</html>"
    assert (reply.status, reply.reply_bytes) == (200, 30)
    assert state.state is SourceState.DEGRADED


async def test_an_oversized_reply_is_refused_without_reading_it_all() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        except ConnectionError:
            return response

    async with http_server(flood) as url:
        (reply,) = await replies_of(probe(url, rate_per_s=1, timeout_s=20), 1)

    assert reply.error is ErrorKind.BAD_REPLY
    assert "larger than 8 MiB" in reply.error_text
    assert reply.reply_bytes < 10 * 1024 * 1024


async def test_a_server_that_is_not_http() -> None:
    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read(1)

    async with raw_server(ssh) as port:
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/"), 1)

    assert reply.error is ErrorKind.BAD_REPLY
    assert "no HTTP reply" in reply.error_text


async def test_broken_compression() -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(json_reply(b"not gzip", b"Content-Encoding: gzip\r\n"))

    async with raw_server(broken) as port:
        (reply,) = await replies_of(probe(f"http://127.0.0.1:{port}/"), 1)

    assert reply.error is ErrorKind.BAD_REPLY
    assert "compression" in reply.error_text


@pytest.mark.parametrize(
    ("settings", "reason", "remedy"),
    [
        ({"body_file": "missing.json"}, "cannot be read: No such file or directory", "create the file"),
        ({"body_file": "bad.json"}, "is not JSON", "known-good input"),
        ({"ca_file": "missing.pem", "url": "https://127.0.0.1:1/"}, "cannot be used: No such file", "PEM"),
        ({"ca_file": "bad.json", "url": "https://127.0.0.1:1/"}, "cannot be used", "PEM"),
        ({"headers": {"X": "a\r\nY: b"}}, "endpoint.headers", "correct endpoint.headers"),
        ({"body_file": "/dev/zero"}, "is larger than 64 MiB", "small known-good input"),
        (
            {"protocol": Protocol.V2, "body": None},
            "needs a JSON object as its body, and there is none",
            "endpoint.body",
        ),
        ({"protocol": Protocol.OPENAI, "body": [1]}, "and it is a list", "endpoint.body"),
        ({"body": {"x": 2**70}}, "endpoint.body", "endpoint.body"),
    ],
)
async def test_a_config_that_cannot_be_used_is_one_sentence_with_a_remedy(
    settings: dict[str, object],
    reason: str,
    remedy: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.json").write_text("{ not json")
    for name in ("body_file", "ca_file"):
        if name in settings:
            settings = {**settings, name: tmp_path / str(settings[name])}
    if "body_file" in settings:
        settings["body"] = None
    url = str(settings.pop("url", "http://127.0.0.1:1/"))
    before = asyncio.all_tasks()

    with pytest.raises(SourceError) as failure:
        await replies_of(probe(url, **settings), 1)

    assert reason in failure.value.reason
    assert remedy in failure.value.remedy
    assert "\n" not in failure.value.reason
    assert asyncio.all_tasks() == before


async def test_credentials_in_the_url_are_sent_but_never_shown() -> None:
    authorizations: list[str] = []

    async def note(request: web.Request) -> web.Response:
        authorizations.append(request.headers.get("Authorization", ""))
        return web.json_response({})

    async with http_server(note) as url:
        (reply,) = await replies_of(probe(url.replace("http://", "http://user:hunter22@")), 1)

    assert authorizations[0] == "Basic dXNlcjpodW50ZXIyMg=="
    assert "hunter22" not in reply.target


async def test_a_proxy_of_the_environment_is_used_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(json_reply())

    async with raw_server(proxy) as port, http_server(answer) as url:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        (local,) = await replies_of(probe(url), 1)
        assert heads == []
        (remote,) = await replies_of(probe("http://model-server.invalid:8000/predict"), 1)

    assert local.ok
    assert remote.ok
    assert heads[0].startswith(b"POST http://model-server.invalid:8000/predict HTTP/1.1")


async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "gopher://127.0.0.1:70")

    with pytest.raises(SourceError, match="proxy") as failure:
        await replies_of(probe("http://model-server.invalid/"), 1)

    assert "NO_PROXY" in failure.value.remedy
