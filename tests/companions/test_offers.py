"""Companions are offered for the hypothesis at hand, with commands that a shell takes apart as they were meant."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.companions import Found, Offer, Place, SkillPack, catalog, offers
from infdiag_tui.companions.catalog import FIELD, PIPE, SINGLE, SPREAD
from infdiag_tui.companions.offers import MOST_HYPOTHESES, filled
from infdiag_tui.config import ModelConfig
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.model import (
    Argument,
    CommandBeside,
    Container,
    Evidence,
    Hypothesis,
    HypothesisStatus,
    Impact,
    IncidentInfo,
    Pod,
    ProcessState,
    Snapshot,
    Verdict,
)

AT = 1_700_000_000.0
EVERYTHING = Found(
    host=frozenset(catalog().wanted(Place.HOST)),
    beside=frozenset(catalog().wanted(Place.BESIDE)),
    packs=tuple(SkillPack(name, Path("/packs") / name, "1.0") for name in catalog().packs),
)
MODEL = ModelConfig.model_validate(
    {
        "endpoint": {"url": "http://user:secret@model:8000/v2/models/scorer/infer", "body_file": "/in/golden.json"},
        "kubernetes": {"context": "prod", "namespace": "ml", "selector": "app=scorer"},
        "logs": {"files": ["/var/log/a.log", "/var/log/b c.log"]},
        "checks": {"profile": {"source": "/model/scorer.onnx"}},
    }
)


def pod(name: str, *, ready: bool = True, **more: Any) -> Pod:
    container = Container("server", ready=ready, ports=(8000,))
    fields = {"node": "gpu-1", "containers": (container,), "owner": "ReplicaSet/scorer-6d8f", **more}
    labels = {"pod-template-hash": "6d8f"}
    return Pod("ml", name, uid=name, phase="Running", at=AT, ready=ready, labels=labels, **fields)


def snapshot(*pods: Pod, pid: int | None = 4711) -> Snapshot:
    processes = (ProcessState(AT, "port 8000", pid, running=True),) if pid else ()
    return Snapshot(AT, 1, IncidentInfo("scorer", "", AT), pods=pods, processes=processes)


def hypothesis(
    cause: str, status: HypothesisStatus = HypothesisStatus.LIKELY, subject: str = "", *, seen: bool = True
) -> Hypothesis:
    evidence = Evidence("pods.restarts", "x", Verdict.FAIL, "pods", AT, subject=subject)
    arguments = (Argument(evidence, 2.0, "x"),) if seen else ()
    return Hypothesis(cause, cause, "Infrastructure", status, 1.0, "x", evidence_for=arguments)


def offered(
    causes_at_hand: Sequence[str], view: Snapshot | None = None, model: ModelConfig = MODEL, found: Found = EVERYTHING
) -> tuple[Offer, ...]:
    hypotheses = [hypothesis(one) for one in causes_at_hand]
    return offers(hypotheses, view or snapshot(pod("scorer-6d8f-a")), model, found)


def commands(made: Sequence[Offer], tool: str) -> list[str]:
    return [one.command for one in made if one.tool == tool]


def test_every_field_cause_and_program_of_the_catalog_is_known() -> None:
    for name, tool in catalog().tools.items():
        for command in tool.commands:
            words = command.command
            for word in words:
                for field in FIELD.findall(word):
                    assert field in SPREAD | SINGLE, f"{name}: {field}"
                    assert field not in SPREAD or word == f"{{{field}}}", f"{name}: {word}"
            programs = {words[0].strip("{}"), *(words[at + 1] for at, word in enumerate(words) if word == PIPE)}
            assert name in {*programs, *command.also}, name
            assert programs <= {name, *command.also}, name
            assert set(command.causes) <= set(causes()), name
            assert set(command.where) <= set(tool.where), name
    for name, pack in catalog().packs.items():
        assert set(pack.causes) <= {*causes(), "*"}, name


def test_every_cause_is_served_by_a_tool_or_is_a_matter_of_data() -> None:
    served = {one for tool in catalog().tools.values() for command in tool.commands for one in command.causes}
    assert set(causes()) - served == {"data-drift", "concept-drift", "label-drift"}


def test_the_command_is_filled_from_the_target() -> None:
    view = snapshot(pod("scorer-6d8f-a"), pod("scorer-6d8f-b", ready=False))
    made = offered(["crash-loop"], view)
    [describe, logs, events, rollouts] = commands(made, "kubectl")
    lead = "kubectl --context=prod --namespace=ml"
    assert describe == f"{lead} describe pod scorer-6d8f-b", "the pod in the worst state"
    assert logs == f"{lead} logs scorer-6d8f-b --container=server --previous --tail=200"
    assert events == f"{lead} get events --sort-by=.lastTimestamp"
    assert rollouts == f"{lead} rollout history deployment/scorer"
    [stern] = commands(made, "stern")
    assert stern.startswith("stern --context=prod --namespace=ml --selector=app=scorer ")
    assert commands(made, "lnav") == ["lnav /var/log/a.log '/var/log/b c.log'"]


def test_the_pod_that_the_evidence_is_about_is_meant() -> None:
    view = snapshot(pod("scorer-6d8f-a", ready=False), pod("scorer-6d8f-b"))
    made = offers([hypothesis("evicted", subject="ml/scorer-6d8f-b")], view, MODEL, EVERYTHING)
    assert "describe pod scorer-6d8f-b" in commands(made, "kubectl")[0]


def test_a_tool_beside_the_model_is_reached_by_kubectl() -> None:
    found = Found(beside=frozenset({"py-spy", "memray"}))
    made = offered(["memory-leak", "race-condition"], found=found)
    lead = "kubectl --context=prod --namespace=ml exec"
    assert commands(made, "memray") == [f"{lead} --stdin --tty scorer-6d8f-a --container=server -- memray attach 1"]
    assert commands(made, "py-spy") == [f"{lead} scorer-6d8f-a --container=server -- py-spy dump --pid 1"]
    assert {one.place for one in made} == {Place.BESIDE}
    assert {one.impact for one in made} == {Impact.EXEC}
    where = "in container server of pod scorer-6d8f-a (namespace ml)"
    assert made[1].beside == CommandBeside(("py-spy", "dump", "--pid", "1"), where, "ml", "scorer-6d8f-a", "server")


def test_reading_beside_the_model_is_an_exec_and_here_it_is_none() -> None:
    found = Found(host=frozenset({"nvidia-smi"}), beside=frozenset({"nvidia-smi"}))
    made = offered(["gpu-throttled"], found=found)
    assert {one.place: one.impact for one in made} == {Place.HOST: Impact.READ_ONLY, Place.BESIDE: Impact.EXEC}


def test_a_host_over_ssh_is_reached_by_ssh() -> None:
    model = ModelConfig.model_validate({"ssh": {"host": "gpu-7", "user": "ops", "port": 2222}})
    found = Found(beside=frozenset({"nvidia-smi", "py-spy", "ss"}))
    made = offered(["gpu-saturated", "race-condition", "connection-exhaustion"], model=model, found=found)
    assert [one.command for one in made] == [
        "ssh -p 2222 -l ops -- gpu-7 'nvidia-smi dmon -s um -c 10'",
        "ssh -p 2222 -l ops -- gpu-7 'ss -s'",
    ], "py-spy needs a process that nobody named"
    assert made[1].beside == CommandBeside(("ss", "-s"), "on host gpu-7 (SSH)")


def test_what_is_not_known_is_not_offered() -> None:
    nothing = ModelConfig()
    made = offered(list(causes()), Snapshot(AT, 1, IncidentInfo("x", "", AT)), nothing)
    assert all("{" not in one.command.replace("%{", "") for one in made)
    assert not {"kubectl", "stern", "curl", "py-spy", "lnav", "trtexec"} & {one.tool for one in made}


def test_only_what_is_there_is_offered() -> None:
    assert offered(list(causes()), found=Found()) == ()
    assert {one.tool for one in offered(["model-compute-bound"], found=Found(host=frozenset({"nsys"})))} == {"nsys"}
    both = Found(host=frozenset({"nsys", "trtexec"}))
    assert len(commands(offered(["model-compute-bound"], found=both), "nsys")) == 2


def test_credentials_and_headers_of_the_endpoint_stay_out() -> None:
    model = MODEL.model_copy(
        update={"endpoint": MODEL.endpoint and MODEL.endpoint.model_copy(update={"headers": {"X-Key": "hush"}})}
    )
    made = offered(["wrong-model-version", "network-slow"], model=model)
    assert "secret" not in " ".join(one.command for one in made)
    assert "hush" not in " ".join(one.command + one.note for one in made)
    [jq] = [one for one in made if one.tool == "jq"]
    assert jq.command == "curl -sS http://model:8000/health | jq .model_version"
    assert "headers are left out" in jq.note
    [analyzer, _beside] = commands(offered(["queueing"], model=model), "perf_analyzer")
    assert analyzer == "perf_analyzer -m scorer -u model:8000 --concurrency-range 1:8"


def test_the_best_hypothesis_comes_first_and_refuted_ones_not_at_all() -> None:
    view = snapshot(pod("a"))
    refuted = hypothesis("gpu-fault", HypothesisStatus.REFUTED)
    unseen = hypothesis("network-slow", HypothesisStatus.UNTESTED, seen=False)
    made = offers([hypothesis("gpu-throttled"), hypothesis("cpu-throttled"), unseen, refuted], view, MODEL, EVERYTHING)
    tools = [one for one in made if one.place is not None]
    assert tools[0].causes[0] == "gpu-throttled"
    assert {cause for one in made for cause in one.causes} == {"gpu-throttled", "cpu-throttled"}
    assert [one.place for one in made][-1] is None, "skill packs come last"
    only_unseen = offers([unseen, refuted], view, MODEL, EVERYTHING)
    assert {cause for one in only_unseen for cause in one.causes} == {"network-slow"}
    assert offers([refuted], view, MODEL, EVERYTHING) == ()


def test_a_command_that_serves_several_is_offered_once_for_all_of_them() -> None:
    made = offered(["crash-loop", "evicted"])
    assert len({one.command for one in made}) == len(made)
    [describe] = [one for one in made if " describe pod " in one.command]
    assert describe.causes == ("crash-loop", "evicted")


def test_too_many_hypotheses_do_not_bury_the_best() -> None:
    served = {cause for one in offered(list(causes())) for cause in one.causes}
    assert served <= set(list(causes())[:MOST_HYPOTHESES])


def test_skill_packs_are_offered_where_they_serve() -> None:
    made = {one.tool: one for one in offered(["model-compute-bound"]) if one.place is None}
    assert set(made) == {f"{name} 1.0" for name in catalog().packs}
    assert made["yzmir-pytorch-engineering 1.0"].command == "For PyTorch profiling: use yzmir-pytorch-engineering"
    data = {one.tool for one in offered(["data-drift"]) if one.place is None}
    assert data == {"ordis-quality-engineering 1.0", "yzmir-ml-production 1.0"}
    stranger = Found(packs=(SkillPack("somebody-elses", Path("/packs/x")),))
    assert offered(["data-drift"], found=stranger) == ()


HOSTILE = (
    "a; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a' 'b",
    'a"b',
    "a|b",
    "a b",
    "*",
    "~",
    "$HOME",
    "\\",
    "!x",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_real_shell_takes_hostile_names_for_what_they_are(name: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    recorder = tmp_path / "bin" / "kubectl"
    recorder.write_text('#!/bin/sh\nfor word do printf "%s\\0" "$word"; done > "$OUT"\n')
    recorder.chmod(0o755)
    view = snapshot(pod(name, node=name, containers=(Container(name),)))
    model = ModelConfig.model_validate({"kubernetes": {"context": name, "namespace": "ml", "selector": name}})
    made = offered(["crash-loop", "bad-replica", "replica-version-skew", "memory-leak"], view, model)
    kubectl = [one for one in made if one.command.startswith("kubectl ")]
    assert len(kubectl) >= 6
    for offer in kubectl:
        env = {"PATH": f"{tmp_path}/bin", "OUT": str(tmp_path / "out"), "HOME": "/home/x"}
        done = subprocess.run(["/bin/sh", "-c", offer.command], env=env, cwd=tmp_path, check=False, timeout=20)
        assert done.returncode == 0
        words = (tmp_path / "out").read_text().split("\0")[:-1]
        assert ["kubectl", *words] == shlex.split(offer.command)
        assert offer.argv == (("kubectl", *words),)
        if offer.beside is not None:
            assert tuple(words[-len(offer.beside.argv) :]) == offer.beside.argv
        assert any(name in word for word in words)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["", "-rf", "a\nb", "a\x1b[31m", "\u202ea", "x" * 3000])
def test_names_that_no_line_should_hold_are_not_offered(name: str) -> None:
    view = snapshot(pod(name, node=name))
    model = ModelConfig.model_validate({"kubernetes": {"namespace": "ml"}})
    made = offered(["crash-loop", "resource-contention"], view, model, Found(host=frozenset({"kubectl"})))
    assert [one.command for one in made] == [
        "kubectl --namespace=ml get events --sort-by=.lastTimestamp",
        "kubectl --namespace=ml rollout history deployment/scorer",
    ]


@settings(deadline=None)  # a loaded machine is no failure
@given(st.text(), st.text())
def test_filling_in_never_makes_another_word(one: str, two: str) -> None:
    made = filled(("tool", "--flag={pod}", "x/{node}", "|", "jq"), {"pod": (one,), "node": (two,)})
    assert made == (("tool", f"--flag={one}", f"x/{two}"), ("jq",))
    assert shlex.split(shlex.join(made[0])) == list(made[0])
