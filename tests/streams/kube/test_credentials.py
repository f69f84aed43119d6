from __future__ import annotations

import asyncio
import os
import ssl
import stat
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import trustme

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes, ModelConfig
from infdiag_tui.model import Pod, SourceState
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.cluster import build
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access
from infdiag_tui.streams.kube.exec_plugin import PluginSpec, run_plugin
from tests.streams.kube.fake_api import FakeApi, pod
from tests.streams.kube.harness import HURRIED, kubeconfig, served, watching
from tests.support import eventually

API_VERSION = "client.authentication.k8s.io/v1"


def plugin(folder: Path, body: str) -> Path:
    script = folder / "plugin.sh"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def rotating_plugin(folder: Path, expires: str = "") -> Path:
    """Gives the token in the file `token` and counts its runs in `runs`."""
    expiry = f',"expirationTimestamp":"{expires}"' if expires else ""
    return plugin(
        folder,
        f'echo run >> "{folder}/runs"\n'
        f'printf \'{{"apiVersion":"{API_VERSION}","kind":"ExecCredential","status":{{"token":"%s"{expiry}}}}}\' '
        f'"$(cat "{folder}/token")"',
    )


def exec_user(script: Path | str, more: str = "") -> str:
    return f'{{exec: {{apiVersion: {API_VERSION}, command: "{script}", interactiveMode: IfAvailable{more}}}}}'


async def connect_error(path: Path, **settings: str) -> SourceError:
    client = KubeClient(Kubernetes(kubeconfig=path, **settings), SystemClock(), "t", HURRIED)
    with pytest.raises(SourceError) as caught:
        async with client.connected():
            pass
    assert client._link is None
    return caught.value


async def test_a_missing_kubeconfig_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    error = await connect_error(tmp_path / "nowhere")
    assert f"{tmp_path}/nowhere does not exist" in error.reason
    assert "--kubeconfig FILE" in error.remedy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("contexts:\n- name: [\n", "line 3: no valid YAML"),
        ("", "is no kubeconfig"),
        ("just words", "is no kubeconfig"),
        ("- a\n- b\n", "is no kubeconfig"),
        ("apiVersion: v1\ncontexts: []\n", "has no current-context"),
        (b"\xff\xfe\x00", ""),
    ],
)
async def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    error = await connect_error(path)
    assert reason in error.reason
    assert str(path) in error.reason
    assert error.remedy


async def test_an_unknown_context_names_those_there_are_nearest_first(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(1))
    error = await connect_error(path, context="prod-us")
    assert error.reason == f"{path} has no context 'prod-us'; it has: prod-eu, lab"


async def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(1, scheme="https", cluster=", certificate-authority: /no/ca.pem"))
    error = await connect_error(path)
    assert "/no/ca.pem" in error.reason


async def test_a_new_token_in_the_kubeconfig_ends_a_401(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.tokens = {"new"}
        async with watching(api, tmp_path, pace=HURRIED, config=kubeconfig(api.port, user="{token: old}")) as watched:
            health = await watched.until_state(
                SourceState.UNAVAILABLE, "does not accept the credentials of u (HTTP 401"
            )
            assert "log in again" in health.remedy
            (tmp_path / "kubeconfig").write_text(kubeconfig(api.port, user="{token: new}"))
            await watched.until(lambda: watched.of(Pod))
            await watched.until_state(SourceState.DEGRADED, "metrics-server")


async def test_a_plugin_is_run_again_when_its_token_is_rejected(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        (tmp_path / "token").write_text("first")
        api.tokens = {"first"}
        config = kubeconfig(api.port, user=exec_user(rotating_plugin(tmp_path)))
        async with watching(api, tmp_path, config=config) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            (tmp_path / "token").write_text("second")
            api.tokens = {"second"}
            await api.cut("watch")
            await watched.until(lambda: any(asked.token == "second" for asked in api.asked))
            await api.put_pod(pod("b"))
            await watched.until(lambda: len(watched.of(Pod)) == 2)
            assert watched.health().restarts == 0
        assert (tmp_path / "runs").read_text().count("run") == 2


async def test_a_plugin_is_run_again_before_its_token_expires(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        (tmp_path / "token").write_text("first")
        soon = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        config = kubeconfig(api.port, user=exec_user(rotating_plugin(tmp_path, soon)))
        async with watching(api, tmp_path, config=config) as watched:
            await watched.until(lambda: watched.of(Pod))
            (tmp_path / "token").write_text("second")
            await watched.until(lambda: api.asked[-1].token == "second")
            assert not any(asked.token == "" for asked in api.asked)
            assert watched.health().restarts == 0


async def test_a_replaced_token_file_is_used(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        (tmp_path / "token").write_text("first\n")
        config = kubeconfig(api.port, user="{tokenFile: token}")
        async with watching(api, tmp_path, config=config) as watched:
            await watched.until(lambda: watched.of(Pod))
            assert {asked.token for asked in api.asked} == {"first"}
            (tmp_path / "token").write_text("second\n")
            await watched.until(lambda: api.asked[-1].token == "second")


async def test_a_missing_plugin_is_named_with_its_install_hint(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(1, user=exec_user("no-such-plugin", ', installHint: "see the wiki"')))
    error = await connect_error(path)
    assert "the credential plugin 'no-such-plugin' of user 'u'" in error.reason
    assert error.reason.endswith("is not installed")
    assert error.remedy == "see the wiki"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'token has expired, run aws sso login' >&2; exit 255", "exit code 255: token has expired, run aws sso"),
        ("echo nonsense", "is no ExecCredential"),
        ('echo \'{"apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"x"}}\'', "v1beta1"),
        (f'echo \'{{"apiVersion":"{API_VERSION}","status":{{}}}}\'', "neither a token nor a client certificate"),
        ("sleep 60 & sleep 60", "gave no credential within 0.3 s"),
        ("read -r answer < /dev/tty; exit 3", "exit code"),
    ],
)
async def test_a_failing_plugin_is_named_and_neither_prompts_nor_stays(tmp_path: Path, body: str, reason: str) -> None:
    spec = PluginSpec(str(plugin(tmp_path, f'echo $$ > "{tmp_path}/pid"\n{body}')), API_VERSION, user="u", source="cfg")
    with pytest.raises(SourceError) as caught:
        await run_plugin(spec, 0.3 if "sleep" in body else 10.0)
    assert reason in caught.value.reason
    group = int((tmp_path / "pid").read_text())
    # A process that was killed may be listed for a moment longer.
    await eventually(lambda: not any(_is_running_in(one, group) for one in psutil.process_iter(["status"])))


def _is_running_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE
    except ProcessLookupError:
        return False


async def test_a_plugin_that_must_ask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="wants to ask something on the terminal"):
        await run_plugin(PluginSpec("x", API_VERSION, interactive_mode="Always", user="u", source="cfg"), 1.0)


async def test_tls_with_a_client_certificate_leaves_no_key_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    authority = trustme.CA()
    config = _tls_config(authority, authority.issue_cert("ops@example.org"))
    async with _tls_api(authority, authority.issue_cert("127.0.0.1")) as api:
        path = tmp_path / "config"
        path.write_text(config.replace("PORT", str(api.port)))
        client = KubeClient(Kubernetes(kubeconfig=path), SystemClock(), "t")
        async with client.connected():
            assert await client.get("/version", {}, Access("get", "version", "ml"))
        assert list(temporary.iterdir()) == []


async def test_connections_made_at_once_do_not_take_each_others_files(tmp_path: Path) -> None:
    authority = trustme.CA()
    config = _tls_config(authority, authority.issue_cert("ops@example.org"))
    async with _tls_api(authority, authority.issue_cert("127.0.0.1")) as api:
        path = tmp_path / "config"
        path.write_text(config.replace("PORT", str(api.port)))

        async def asked() -> bytes:
            client = KubeClient(Kubernetes(kubeconfig=path), SystemClock(), "t")
            async with client.connected():
                return await client.get("/version", {}, Access("get", "version", "ml"))

        assert all(await asyncio.gather(*(asked() for _ in range(8))))


async def test_an_expired_server_certificate_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    expired = authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    async with _tls_api(authority, expired) as api:
        path = tmp_path / "config"
        path.write_text(_tls_config(authority, authority.issue_cert("ops")).replace("PORT", str(api.port)))
        client = KubeClient(Kubernetes(kubeconfig=path), SystemClock(), "t")
        with pytest.raises(SourceError, match="its certificate has expired"):
            async with client.connected():
                await client.get("/version", {}, Access("get", "version", "ml"))


async def test_an_untrusted_certificate_is_named_in_plain_words(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    async with _tls_api(authority, authority.issue_cert("127.0.0.1")) as api:
        path = tmp_path / "config"
        path.write_text(_tls_config(other, other.issue_cert("ops")).replace("PORT", str(api.port)))
        client = KubeClient(Kubernetes(kubeconfig=path), SystemClock(), "t")
        with pytest.raises(
            SourceError, match=r"is not trusted \(self-signed certificate in certificate chain\)"
        ) as caught:
            async with client.connected():
                await client.get("/version", {}, Access("get", "version", "ml"))
    assert "ssl.c" not in caught.value.reason
    assert "Cannot connect" not in caught.value.reason


async def test_a_token_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig(1, user=f'{{tokenFile: "{tmp_path}/none"}}'))
    failure = await connect_error(path)
    assert f"{tmp_path}/none: No such file or directory" in failure.reason
    assert "Errno" not in failure.reason


def _tls_config(authority: trustme.CA, user: trustme.LeafCert) -> str:
    import base64

    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    certificate = data(user.cert_chain_pems[0].bytes())
    text = kubeconfig(
        0,
        scheme="https",
        cluster=f", certificate-authority-data: {data(authority.cert_pem.bytes())}",
        user=f"{{client-certificate-data: {certificate}, client-key-data: {data(user.private_key_pem.bytes())}}}",
    )
    return text.replace("127.0.0.1:0", "127.0.0.1:PORT")


def _tls_api(authority: trustme.CA, certificate: trustme.LeafCert) -> AbstractAsyncContextManager[FakeApi]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return served(context)


def test_building_the_streams_imports_no_kubernetes() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from infdiag_tui.streams.cluster import build;"
        "from infdiag_tui.config import Kubernetes, ModelConfig; from infdiag_tui.streams.base import StreamContext;"
        "print([s.name for s in build(ModelConfig(kubernetes=Kubernetes()), StreamContext())]);"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('kubernetes', 'yaml')]"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['pods', 'pod-logs']"


def test_without_a_kubernetes_section_there_is_no_stream() -> None:
    assert build(ModelConfig(), StreamContext()) == []
    only_pods = ModelConfig(kubernetes=Kubernetes(logs=False))
    assert [stream.name for stream in build(only_pods, StreamContext())] == ["pods"]
