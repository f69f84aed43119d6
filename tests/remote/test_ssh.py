"""Commands on a model server's host, over a real SSH server."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from checks.base import CheckError
from infdiag_tui.config import Ssh
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.remote.ssh import SshCarrier
from tests.remote.helpers import runs_beside
from tests.remote.ssh_server import USER, SshHost, ssh_host
from tests.support import eventually


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


@asynccontextmanager
async def on(host: SshHost, /, **settings: Any) -> AsyncIterator[GuardedRemote]:
    values = {"host": "127.0.0.1", "port": host.port, "user": USER, **settings}
    remote = GuardedRemote(SshCarrier(Ssh(**values)))
    try:
        yield remote
    finally:
        await remote.aclose()


async def test_words_input_output_and_exit_code_arrive_as_they_are(home: Path, tmp_path: Path) -> None:
    given = secrets.token_bytes(300_000)
    words = ("sh", "-c", 'cat; printf "%s\\n" "$@" >&2; exit 3', "sh", "a b", "$HOME;*&", "ü\n'")
    async with ssh_host(home, tmp_path / "host") as (host, key), on(host) as remote:
        host.trust(key)

        code, out, err = await remote.run(words, timeout_s=30, stdin=given)
        where = await remote.run(("pwd",), timeout_s=30)
        missing, _, said = await remote.run(("no-such-program",), timeout_s=30)

        assert (code, out) == (3, given)
        assert err.decode() == "a b\n$HOME;*&\nü\n'\n"
        assert where == (0, f"{tmp_path}/host\n".encode(), b"")
        assert (missing, b"no-such-program" in said) == (127, True)
        assert host.logins == 1
        assert (remote.kind, remote.where) == ("host", "on host ops@127.0.0.1 (SSH)")


async def test_a_login_shells_greeting_is_no_output(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host", greeting=b"Welcome!\n{}\n") as (host, key), on(host) as remote:
        host.trust(key)

        assert await remote.run(("echo", "own"), timeout_s=30) == (0, b"own\n", b"")


async def test_the_users_own_config_names_host_user_port_and_key(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key):
        host.trust(key)
        other = host.identity.rename(home / "other_key")
        config = f"Host gpu-1\n HostName 127.0.0.1\n Port {host.port}\n User {USER}\n IdentityFile {other}\n"
        (home / ".ssh" / "config").write_text(config)
        async with on(host, host="gpu-1", port=None, user="") as remote:
            assert (await remote.run(("true",), timeout_s=30))[0] == 0
            assert remote.where == "on host gpu-1 (SSH)"


async def test_an_unknown_host_key_is_refused_with_its_fingerprint_and_the_remedy(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key), on(host) as remote:
        with pytest.raises(CheckError) as caught:
            await remote.run(("touch", "ran"), timeout_s=30)

        said = str(caught.value)
        assert f"the host key of [127.0.0.1]:{host.port} (ssh-ed25519 {key.get_fingerprint()}) is not known" in said
        assert said.endswith(f"ssh-keyscan -p {host.port} 127.0.0.1 >> {host.known_hosts}")
        assert not (tmp_path / "host" / "ran").exists()
        assert not host.known_hosts.exists()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_host_key_is_refused_and_how_to_replace_it(home: Path, tmp_path: Path, kind: str) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, _), on(host) as remote:
        host.trust(asyncssh.generate_private_key(kind))
        with pytest.raises(CheckError) as caught:
            await remote.run(("touch", "ran"), timeout_s=30)

        said = str(caught.value)
        assert f"is not the one in {host.known_hosts}" in said
        assert f"ssh-keygen -R '[127.0.0.1]:{host.port}' -f {host.known_hosts} && ssh-keyscan -p {host.port}" in said
        assert not (tmp_path / "host" / "ran").exists()


async def test_a_config_that_trusts_every_host_is_not_heeded(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, _), on(host) as remote:
        (home / ".ssh" / "config").write_text("Host *\n UserKnownHostsFile none\n StrictHostKeyChecking no\n")

        with pytest.raises(CheckError, match="is not known"):
            await remote.run(("true",), timeout_s=30)


async def test_a_configured_file_of_host_keys_counts_alone(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key):
        host.trust(key)
        elsewhere = tmp_path / "hosts"
        async with on(host, known_hosts=elsewhere) as remote:
            with pytest.raises(CheckError, match=f">> {elsewhere}"):
                await remote.run(("true",), timeout_s=30)
            host.known_hosts.rename(elsewhere)
            assert (await remote.run(("true",), timeout_s=30))[0] == 0


async def test_a_refused_login_says_what_was_offered(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key):
        host.trust(key)
        host.write_keys()  # another than the one that is welcome
        async with on(host, identity_file=host.identity) as remote:
            with pytest.raises(CheckError, match=f"ops@127.0.0.1 refuses the login .*{host.identity}") as caught:
                await remote.run(("true",), timeout_s=30)
        assert "ssh.identity_file" in str(caught.value)
        assert not caught.value.unreachable


async def test_a_key_with_a_passphrase_belongs_into_the_agent(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key):
        host.trust(key)
        host.write_keys(passphrase="secret")
        async with on(host, identity_file=host.identity) as remote:
            with pytest.raises(CheckError, match=f"ssh-add {host.identity}$"):
                await remote.run(("true",), timeout_s=30)
        async with on(host, identity_file=home / "absent") as remote:
            with pytest.raises(CheckError, match=f"{home}/absent: No such file"):
                await remote.run(("true",), timeout_s=30)


async def test_nobody_at_the_address_is_unreachable(home: Path, tmp_path: Path) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, _):
        pass
    async with on(host) as remote:
        with pytest.raises(CheckError, match=r"ops@127.0.0.1 cannot be reached: .*check ssh.host and ssh.port") as gone:
            await remote.run(("true",), timeout_s=30)
    assert gone.value.unreachable


async def test_a_server_that_speaks_no_ssh_or_nothing_at_all_is_a_sentence(home: Path, tmp_path: Path) -> None:
    del home

    async def http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 200)
        writer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    for serve, said in ((http, "cannot be reached"), (silent, "did not let us in within 1 s")):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host = SshHost(tmp_path, tmp_path, port=server.sockets[0].getsockname()[1])
        async with server, on(host, connect_timeout_s=1) as remote:
            with pytest.raises(CheckError, match=said) as caught:
                await remote.run(("true",), timeout_s=30)
            assert caught.value.unreachable


@pytest.mark.parametrize("how", ["cancelled", "timeout"])
async def test_what_is_not_waited_for_is_ended_on_the_host(home: Path, tmp_path: Path, how: str) -> None:
    marker = secrets.token_hex(8)
    script = f"setsid sh -c 'sleep 600; :' {marker} & touch {tmp_path}/started; sleep 600; :"
    async with ssh_host(home, tmp_path / "host") as (host, key), on(host) as remote:
        host.trust(key)
        limit_s = 600 if how == "cancelled" else 5
        running = asyncio.create_task(remote.run(("sh", "-c", script, marker), timeout_s=limit_s))
        await eventually(lambda: (tmp_path / "started").exists() and len(runs_beside(marker)) == 2)
        if how == "cancelled":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            with pytest.raises(CheckError, match="it was ended there"):
                await running
        assert runs_beside(marker) == []


async def test_a_connection_that_breaks_midway_is_said_and_the_next_command_opens_another(
    home: Path, tmp_path: Path
) -> None:
    async with ssh_host(home, tmp_path / "host") as (host, key), on(host) as remote:
        host.trust(key)
        marker = secrets.token_hex(8)
        running = asyncio.create_task(remote.run(("sh", "-c", "touch up; sleep 600", marker), timeout_s=600))
        await eventually((tmp_path / "host" / "up").exists)
        carrier = remote._carrier
        assert isinstance(carrier, SshCarrier)
        assert carrier._connection is not None
        carrier._connection.get_extra_info("socket").shutdown(2)

        with pytest.raises(CheckError, match=re.escape("broke before the command ended")) as caught:
            await running
        assert caught.value.unreachable
        assert "it was ended there" in str(caught.value)
        assert runs_beside(marker) == []
        assert host.logins == 2
