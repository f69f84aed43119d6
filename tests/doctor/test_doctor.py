"""What the doctor says without a cluster, and the parts of what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.doctor.command import plain
from infdiag_tui.doctor.environment import environment
from infdiag_tui.doctor.examination import Examination, Requests
from infdiag_tui.doctor.rights import Held, all_rights
from infdiag_tui.doctor.role import PLACEHOLDER, Grant, everything
from infdiag_tui.doctor.trial import Tried
from infdiag_tui.model import SourceState
from infdiag_tui.streams.kube.requests import RequestRate


def infdiag(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")}
    return subprocess.run(
        [sys.executable, "-m", "infdiag_tui", "doctor", *words],
        cwd=home,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_a_machine_without_config_and_cluster_is_told_what_it_is(tmp_path: Path) -> None:
    done = infdiag(tmp_path, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    assert document["model"] == "this machine"
    assert {one["name"]: one["state"] for one in document["sources"]}["host"] == "live"
    assert (document["contexts"], document["rights"], document["requests"]["total"]) == ([], [], 0)
    assert document["environment"]["Python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")


def test_what_is_named_and_not_there_is_exit_3_each_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("nonsense: [")
    done = infdiag(
        *(tmp_path, "--endpoint", "http://127.0.0.1:9/predict", "--kubeconfig", "kubeconfig"),
        *("--log", str(tmp_path / "a.log"), "--dcgm-url", "http://127.0.0.1:9/metrics"),
    )
    assert done.returncode == 3
    assert "no valid YAML" in done.stdout
    assert "mend the kubeconfig" in done.stdout
    assert "refused" in next(line for line in done.stdout.splitlines() if " latency " in line)
    assert "Traceback" not in done.stderr + done.stdout


def test_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    done = infdiag(tmp_path, "no-such-model")
    assert (done.returncode, done.stdout) == (2, "")
    assert "neither a symptom" in done.stderr


def test_roles_without_a_cluster_have_a_placeholder_for_the_user(tmp_path: Path) -> None:
    done = infdiag(tmp_path, "--rbac")
    assert done.returncode == 0
    documents = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert {one["subjects"][0]["name"] for one in documents if "subjects" in one} == {PLACEHOLDER}


@settings(max_examples=15, deadline=None)
@given(namespace=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True), user=st.text(max_size=40))
def test_roles_are_valid_yaml_that_grants_each_right_once_whatever_the_names(namespace: str, user: str) -> None:
    printable = "".join(one for one in user if one.isprintable())
    text = everything(all_rights(), Grant(namespace, printable))
    head, _, tail = text.partition("\n# ---\n")
    second = "\n".join(line.removeprefix("# ") for line in tail.splitlines())
    documents: list[dict[str, Any]] = [one for one in (*yaml.safe_load_all(head), *yaml.safe_load_all(second)) if one]
    granted = [
        (group, resource, verb)
        for one in documents
        for rule in one.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert sorted(granted) == sorted((one.group, one.resource, verb) for one in all_rights() for verb in one.verbs)
    assert {one["metadata"].get("namespace", namespace) for one in documents} == {namespace}


def test_the_reading_role_can_change_nothing() -> None:
    for right in all_rights():
        if right.role != "act":
            assert {*right.verbs} <= {"get", "list", "watch"}, right
            assert right.resource not in ("secrets", "pods/exec", "pods/attach")


def test_a_pipe_gets_one_line_for_each_thing_and_nothing_hostile() -> None:
    reason = "said \x1b[31mred\nand more " + "x" * 500
    right = all_rights()[0]
    found = Examination(
        "m",
        sources=(Tried("latency", SourceState.DEGRADED, 0.5, reason, "try\tagain"),),
        cluster_asked_for=True,
        rights=(Held(right, ("get",), ("list", "watch")), Held(all_rights()[1], unknown="timed out")),
        requests=Requests(60.0, (RequestRate("list", "pods", 9, 9),)),
    )
    lines = plain(found)
    assert all(line.isprintable() for line in lines)
    assert any("x" * 500 in line for line in lines)
    assert "lacks list, watch" in next(line for line in lines if line.startswith("  missing"))
    assert any(line.split() == ["pods", "list", "9", "9"] for line in lines)
    assert found.exit_code == 1


def test_rates_are_not_told_from_the_rush_of_a_start() -> None:
    assert Requests(3.0).per_minute(30) is None
    assert Requests(30.0).per_minute(30) == 60.0


@pytest.mark.parametrize("secret", ["AWS_SECRET_ACCESS_KEY", "SSH_CONNECTION", "KUBECONFIG"])
def test_the_environments_own_values_stay_out_of_a_bug_report(secret: str) -> None:
    facts = environment({secret: "10.9.8.7 s3cr3t", "TERM": "xterm\x1b[31m"})
    assert "s3cr3t" not in str(facts)
    assert facts["terminal"].isprintable()
    assert facts["terminal"].startswith("TERM=xterm")
