"""The doctor's login over a real SSH server."""

from __future__ import annotations

from pathlib import Path

import pytest

from infdiag_tui.config import Config, ModelConfig, Ssh
from infdiag_tui.doctor.trial import try_ssh
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import Target
from tests.remote.ssh_server import USER, ssh_host


def _target(port: int) -> Target:
    model = ModelConfig(ssh=Ssh(host="127.0.0.1", port=port, user=USER))
    return Target("m", "", model, Config())


async def test_a_host_is_logged_in_to_and_one_that_is_not_known_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with ssh_host(tmp_path / "home", tmp_path / "host") as (host, key):
        refused = await try_ssh(_target(host.port), StreamContext())
        assert refused is not None
        assert refused.state is SourceState.FORBIDDEN
        assert "is not known" in refused.reason
        assert "ssh-keyscan" in refused.remedy

        host.trust(key)
        tried = await try_ssh(_target(host.port), StreamContext())
        assert tried is not None
        assert (tried.state, tried.reason) == (SourceState.LIVE, "")
        assert tried.took_s is not None
    gone = await try_ssh(_target(host.port), StreamContext())
    assert gone is not None
    assert gone.state is SourceState.UNAVAILABLE
