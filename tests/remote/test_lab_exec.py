"""Exec into the lab's container through its Kubernetes API, and all that can go wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from pathlib import Path

import psutil
import pytest

from checks.base import CheckError
from infdiag_tui.lab import Lab
from tests.remote.helpers import into, place_in, runs_beside
from tests.support import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


def lasting(folder: Path, marker: str) -> tuple[str, ...]:
    """A command that has started once `folder/started` is there, with a child that left for a session of its own."""
    script = f"setsid sh -c 'sleep 600; :' {marker} & touch {folder}/started; sleep 600; :"
    return "sh", "-c", script, marker


async def test_words_input_output_and_exit_code_arrive_as_they_are(lab: Lab) -> None:
    given = secrets.token_bytes(300_000)
    words = ("sh", "-c", 'cat; printf "%s\\n" "$@" >&2; exit 3', "sh", "a b", "$HOME;*&+%2B", "ü\n'")

    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        code, out, err = await remote.run(words, timeout_s=30, stdin=given)
        silent = await remote.run(("true",), timeout_s=30)

    assert (code, out) == (3, given)
    assert err.decode() == "a b\n$HOME;*&+%2B\nü\n'\n"
    assert silent == (0, b"", b"")


async def test_it_runs_in_the_container_that_it_names_and_logs_what_was_run_once(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    place = await place_in(lab)
    async with into(lab.kubeconfig_path, place) as remote:
        for _ in range(2):
            _, out, _ = await remote.run(("pwd",), timeout_s=30)

        assert out.decode().strip() == str(lab.folder / "pods" / place.pod)
        assert remote.where == f"in container server of pod {place.pod} (namespace {lab.namespace})"
    assert [record.getMessage() for record in caplog.records] == [f"running {remote.where}: pwd"]


async def test_a_program_that_is_not_there_is_exit_code_127(lab: Lab) -> None:
    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        code, out, err = await remote.run(("no-such-program",), timeout_s=30)

    assert (code, out) == (127, b"")
    assert b"no-such-program" in err


async def test_a_forbidden_exec_names_the_right_and_how_to_check_it(lab: Lab) -> None:
    await lab.deny("get", "pods/exec")
    try:
        async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
            with pytest.raises(CheckError) as caught:
                await remote.run(("true",), timeout_s=30)
    finally:
        await lab.deny("get", "pods/exec", denied=False)

    said = str(caught.value)
    assert "not allowed to get pods/exec in namespace ml-serving" in said
    assert 'resources ["pods/exec"], verbs ["get", "create"]' in said
    assert "kubectl auth can-i create pods --subresource=exec --context " in said
    assert said.endswith("-n ml-serving")
    assert not caught.value.unreachable


async def test_an_expired_token_is_a_sentence(lab: Lab) -> None:
    await lab.set_token_valid(valid=False)
    try:
        async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
            with pytest.raises(CheckError, match="does not accept the credentials"):
                await remote.run(("true",), timeout_s=30)
    finally:
        await lab.set_token_valid(valid=True)


async def test_a_container_or_pod_that_is_not_there_is_a_sentence_with_the_flag(lab: Lab) -> None:
    place = await place_in(lab)
    async with into(lab.kubeconfig_path, dataclasses.replace(place, container="sidecar")) as remote:
        with pytest.raises(CheckError, match=r"no container sidecar .*--exec-container"):
            await remote.run(("true",), timeout_s=30)
    async with into(lab.kubeconfig_path, dataclasses.replace(place, pod="gone")) as remote:
        with pytest.raises(CheckError, match=r"pod gone is no longer there .*--exec-pod"):
            await remote.run(("true",), timeout_s=30)


async def test_a_command_that_takes_too_long_is_ended_with_its_children(lab: Lab, tmp_path: Path) -> None:
    marker = secrets.token_hex(8)
    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        running = asyncio.create_task(remote.run(lasting(tmp_path, marker), timeout_s=5))
        await eventually(lambda: (tmp_path / "started").exists() and len(runs_beside(marker)) == 2)
        with pytest.raises(CheckError, match="did not end within 5 s; it was ended there; allow it more time"):
            await running

    assert runs_beside(marker) == []


async def test_cancelling_leaves_no_process_in_the_container(lab: Lab, tmp_path: Path) -> None:
    marker = secrets.token_hex(8)
    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        running = asyncio.create_task(remote.run(lasting(tmp_path, marker), timeout_s=600))
        await eventually(lambda: (tmp_path / "started").exists() and len(runs_beside(marker)) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert runs_beside(marker) == []


async def test_an_impatient_second_cancel_leaves_none_either(lab: Lab, tmp_path: Path) -> None:
    marker = secrets.token_hex(8)
    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        running = asyncio.create_task(remote.run(lasting(tmp_path, marker), timeout_s=600))
        await eventually(lambda: (tmp_path / "started").exists() and len(runs_beside(marker)) == 2)
        running.cancel()
        await eventually(lambda: bool(remote._endings) or running.done())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert runs_beside(marker) == []


async def test_output_without_end_is_cut_off_and_the_command_ended(lab: Lab) -> None:
    marker = secrets.token_hex(8)
    async with into(lab.kubeconfig_path, await place_in(lab), stdout_bytes=2**20) as remote:
        with pytest.raises(CheckError, match="printed more than 1 MiB; it was ended there"):
            await remote.run(("sh", "-c", "while :; do echo 0123456789; done", marker), timeout_s=60)
        _, out, err = await remote.run(
            ("sh", "-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"), timeout_s=60
        )

    assert runs_beside(marker) == []
    assert len(out) == 1_000_000
    assert len(err) == 256 * 1024


async def test_an_api_server_that_goes_away_midway_is_said_with_what_may_be_left(lab: Lab, tmp_path: Path) -> None:
    marker = secrets.token_hex(8)
    async with into(lab.kubeconfig_path, await place_in(lab)) as remote:
        running = asyncio.create_task(remote.run(lasting(tmp_path, marker), timeout_s=600))
        await eventually((tmp_path / "started").exists)
        await lab.stop_api()
        try:
            with pytest.raises(CheckError) as caught:
                await running
            with pytest.raises(CheckError, match="connection refused") as gone:
                await remote.run(("true",), timeout_s=30)
        finally:
            await lab.start_api()
        assert "broke before the command ended" in str(caught.value)
        assert "it may still run there, for it could not be ended" in str(caught.value)
        assert caught.value.unreachable
        assert gone.value.unreachable
        assert (await remote.run(("true",), timeout_s=30))[0] == 0
    left = runs_beside(marker)
    assert left, "the lab's commands outlive their client, as a cluster's do"
    for process in [one for each in left for one in (*each.children(recursive=True), each)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
