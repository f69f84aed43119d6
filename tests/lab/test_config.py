"""The config that a lab writes: what a team would have written, and nothing that tells what is going wrong."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from checks.registry import all_checks
from infdiag_tui.config import Config
from infdiag_tui.lab import Lab, running
from infdiag_tui.lab.dialects import dialects
from infdiag_tui.lab.scenarios import all_scenarios
from tests.lab.facts import Facts, facts_of
from tests.lab.helpers import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_LOGGED_ROWS = 150


async def _check(lab: Lab, name: str) -> dict[str, Any]:
    words = ("-m", "infdiag_tui", "check", name, "fraud-scorer", "--config", str(lab.config_path), "--json")
    command = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(command.communicate(), 60)
    assert out, err
    found: dict[str, Any] = json.loads(out)
    return found


async def test_its_checks_run_and_find_nothing_wrong_with_a_healthy_model(healthy: Lab) -> None:
    settings = tomllib.loads(healthy.config_path.read_text())["models"]["fraud-scorer"]["checks"]
    requests = settings["drift"]["production"]

    async def logged() -> bool:
        with Path(requests).open() as file:
            return sum(1 for _ in file) >= _LOGGED_ROWS

    await until(logged, "enough requests are logged", 60)
    names = ("reproduce", "drift", "predictions", "labels", "pipeline", "version")
    assert set(names) | {"stages"} == settings.keys()
    for name, found in zip(names, await asyncio.gather(*(_check(healthy, name) for name in names)), strict=True):
        bad = [one for one in found["evidence"] if one["verdict"] in ("warn", "fail")]
        assert (found["status"], bad) == ("ok", []), (name, found)


async def test_every_section_of_a_check_is_understood(healthy: Lab) -> None:
    config = Config.model_validate(tomllib.loads(healthy.config_path.read_text()))
    for name, values in config.models["fraud-scorer"].checks.items():
        all_checks()[name].params.model_validate(values)


def _shape(value: Any) -> Any:
    """A config without what differs from lab to lab: folders, addresses, ports."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    if not isinstance(value, str):
        return "a number"
    return re.sub(r"/\S*infdiag-lab-\w+|127\.0\.0\.1:\d+", "", value)


async def test_it_is_the_same_whatever_will_go_wrong(healthy: Lab) -> None:
    plain = _shape(tomllib.loads(healthy.config_path.read_text()))
    async with running("stale-model", overrides={"replicas": 1}) as lab:
        assert _shape(tomllib.loads(lab.config_path.read_text())) == plain
        read = [lab.config_path, lab.kubeconfig_path, *lab.folder.glob("data/*"), *lab.log_files]
        for path in read:
            text = path.read_text()
            for name in all_scenarios():
                assert name == "healthy" or name not in text, path


async def _names(facts: Facts) -> set[str]:
    """Everything by which this lab's things are called."""
    replica = (await facts.lab.replicas())[0]
    async with facts.session.get(f"{replica.url}/metrics") as reply:
        metrics = re.findall(r"^# HELP (\S+)", await reply.text(), re.MULTILINE)
    pod = (await facts.pods())[0]
    container = pod["spec"]["containers"][0]
    about = {*pod["metadata"]["labels"], facts.lab.namespace, container["name"], pod["spec"]["nodeName"]}
    own = {
        name
        for name in metrics
        if not name.startswith(("process_", "python_gc_objects", "python_gc_coll", "python_info"))
    }
    return own | (about - {"pod-template-hash"}) | {container["image"], facts.lab.endpoint_url.split("/", 3)[3]}


@pytest.mark.asyncio(loop_scope="function")
async def test_a_lab_may_call_everything_otherwise() -> None:
    seen: list[set[str]] = []
    for number in range(len(dialects())):
        async with facts_of("gpu-fault", {"dialect": number, "break_every_s": 60.0}) as facts:
            seen.append(await _names(facts))

            async def failing(facts: Facts = facts) -> bool:
                return (await facts.ask()).status == 500

            await facts.until(failing, "the fault shows as in any other dialect")
            said = await facts.log()
            assert "uncorrectable ECC error" in said
            assert dialects()[number].app in facts.config["kubernetes"]["selector"]
    assert len(seen) >= 3
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
