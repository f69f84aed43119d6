"""What looks like a model server and what does not, and which of several bears a name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.config.load import load_config
from infdiag_tui.discovery import workload as read
from infdiag_tui.discovery.choose import choose, rows
from infdiag_tui.discovery.config_text import config_text
from infdiag_tui.discovery.known import known
from infdiag_tui.discovery.score import Candidate, bearing, called, joined, likely, scored
from infdiag_tui.discovery.workload import Workload
from tests.discovery.objects import deployment, gpu, probe, service


def found(raw: dict[str, Any], context: str = "prod") -> Workload:
    made = read.from_template(raw, "Deployment", context)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("fields", "server", "reason"),
    [
        ({"image": "vllm/vllm-openai:v0.9", "ports": [{"containerPort": 8000}]}, "vLLM", "image vllm/vllm-openai"),
        ({"image": "nvcr.io/nvidia/tritonserver:25.01-py3"}, "Triton", "image nvcr.io/nvidia/tritonserver"),
        ({"image": "ghcr.io/huggingface/text-generation-inference:3"}, "TGI", "image ghcr.io/"),
        ({"image": "tensorflow/serving@sha256:ab"}, "TensorFlow Serving", "image tensorflow/serving"),
        ({"command": ["python", "-m", "sglang.launch_server"]}, "SGLang", "is started as SGLang"),
        ({"command": ["bentoml", "serve", "."]}, "BentoML", "is started as BentoML"),
        ({"resources": gpu()}, None, "asks for a GPU"),
        ({"resources": gpu("nvidia.com/mig-1g.10gb")}, None, "asks for a GPU"),
        ({"readinessProbe": probe("/v2/health/ready")}, None, "probed at /v2/health/ready, as Triton or MLServer is"),
        ({"env": [{"name": "MODEL_ID", "value": "x"}], "args": ["--model=x"]}, None, "its environment has MODEL_ID"),
    ],
)
def test_each_sign_of_a_model_server_is_enough_and_named(
    fields: dict[str, Any], server: str | None, reason: str
) -> None:
    (one,) = likely([scored(found(deployment("x", **fields)))])
    assert (one.server.name if one.server else None) == server
    assert reason in one.why


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": "nginx:1.27", "ports": [{"containerPort": 8000}], "readinessProbe": probe("/healthz")},
        {"image": "quay.io/jupyter/notebook:7", "resources": gpu()},
        {"image": "nvcr.io/nvidia/k8s/dcgm-exporter:4", "resources": gpu()},
        {"image": "redis:7", "env": [{"name": "REDIS_PASSWORD"}], "args": ["--port", "8000"]},
    ],
)
def test_what_serves_something_else_is_not_offered(fields: dict[str, Any]) -> None:
    assert not likely([scored(found(deployment("web", **fields)))])


def test_a_services_pods_and_a_second_context_make_no_second_finding() -> None:
    raws = deployment("ranker", resources=gpu()), service("ranker-http", 80, app="ranker")
    seen = [
        one
        for context in ("prod", "prod-admin")
        for one in (found(raws[0], context), read.from_service(raws[1], context))
        if one is not None
    ]
    (one,) = joined(seen)
    assert (one.kind, one.context, one.service, one.service_port) == ("Deployment", "prod", "ranker-http", "80")
    (alone,) = joined([one for one in seen if one.kind == "Service"])
    assert (alone.name, alone.selector) == ("ranker-http", "app=ranker")


def test_what_kserve_runs_is_the_inference_service() -> None:
    label = "serving.kserve.io/inferenceservice"
    predictor = deployment("churn-predictor", image="kserve/sklearnserver:v0.15")
    predictor["spec"]["template"]["metadata"]["labels"][label] = "churn"
    raw = {
        "metadata": {"name": "churn", "namespace": "ml", "uid": "i"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    service_of_it = service("churn-predictor", 80, **{label: "churn"})
    workloads = [found(predictor), read.from_inference_service(raw, "prod"), read.from_service(service_of_it, "prod")]
    (one,) = likely(scored(one) for one in joined(one for one in workloads if one is not None))
    assert (one.workload.kind, one.workload.selector) == ("InferenceService", f"{label}=churn")
    assert one.server is not None
    assert one.server.name == "KServe"


def test_a_ray_service_is_found_by_its_active_cluster() -> None:
    raw = {
        "metadata": {"name": "llm", "namespace": "ml"},
        "status": {"activeServiceStatus": {"rayClusterName": "llm-raycluster-x1"}},
    }
    one = read.from_ray_service(raw, "prod")
    assert one is not None
    assert one.selector == "ray.io/cluster=llm-raycluster-x1"
    assert read.from_ray_service({"metadata": {"name": "llm"}}, "prod") is None


def test_the_closest_name_wins_and_equals_are_all_told() -> None:
    named = ("ranker", "ranker-canary", "billing")
    candidates = [scored(found(deployment(name))) for name in named]
    assert [one.workload.name for one in called("ranker", candidates)] == ["ranker"]
    candidates += [scored(found(deployment("ranker", namespace="staging")))]
    assert [one.workload.namespace for one in called("ranker", candidates)] == ["ml", "staging"]
    assert [one.workload.name for one in called("rank", candidates)] == []
    labelled = deployment("v2-blue")
    labelled["metadata"]["labels"]["app.kubernetes.io/name"] = "ranker2"
    assert called("ranker2", [*candidates, scored(found(labelled))])[0].workload.name == "v2-blue"


def test_bare_pods_are_found_by_label_or_by_the_start_of_their_name() -> None:
    def pod(name: str, namespace: str, **labels: str) -> Workload:
        raw = {"metadata": {"name": name, "namespace": namespace, "labels": labels}}
        made = read.from_pod(raw, "prod")
        assert made is not None
        return made

    places = bearing("churn", [pod("churn-1", "a"), pod("x", "a", app="churn"), pod("churn-2", "b"), pod("other", "c")])
    assert [(one.workload.namespace, one.workload.selector) for one in places] == [("a", "app=churn"), ("b", "")]


def test_a_selector_by_expressions_is_written_as_kubectl_takes_it() -> None:
    raw = deployment("x")
    raw["spec"]["selector"]["matchExpressions"] = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "canary", "operator": "DoesNotExist"},
    ]
    assert found(raw).selector == "app=x,tier in (a,b),!canary"


def test_the_table_of_servers_is_consistent() -> None:
    protocols = {"json", "v2", "openai"}
    for server in known().servers:
        assert server.images or server.commands
        assert server.protocol in protocols
        assert server.path.startswith("/")
        assert all(piece == piece.lower() for piece in server.images), server


def answering(*answers: str) -> Any:
    waiting = list(answers)

    def read_line(prompt: str) -> str:
        assert prompt.startswith("Which? 1 to 3")
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    return read_line


@pytest.mark.parametrize(
    ("answers", "several", "picked"),
    [
        (["2"], False, ["b"]),
        (["1,3"], True, ["a", "c"]),
        (["a"], True, ["a", "b", "c"]),
        (["9", "x", "3"], False, ["c"]),
        (["1,3", "0", "a"], False, []),
        ([""], True, []),
        ([], True, []),
    ],
)
def test_of_several_the_operator_picks(answers: list[str], several: bool, picked: list[str]) -> None:
    candidates = [scored(found(deployment(name))) for name in "abc"]
    said: list[str] = []
    chosen = choose(candidates, several=several, read=answering(*answers), say=said.append)
    assert [one.workload.name for one in chosen] == picked
    assert said[:3] == rows(candidates)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=15),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(
    st.sampled_from(["name", "labels", "selector", "template", "ports", "containers", "metadata", "spec", "replicas"]),
    json_values,
)


@given(meta=fields, spec=fields, status=fields)
def test_no_object_however_odd_breaks_the_search(meta: Any, spec: Any, status: Any) -> None:
    raw = {"metadata": meta, "spec": spec, "status": status}
    readers = (read.from_inference_service, read.from_ray_service, read.from_service, read.from_pod)
    made = [read.from_template(raw, "Deployment", "c"), *(reader(raw, "c") for reader in readers)]
    found = [scored(one) for one in joined(one for one in made if one is not None)]
    assert len(rows(found)) >= len(found), "each that was read is told"


names = st.text(min_size=1, max_size=30).map(lambda text: f"n{text}")


@settings(max_examples=40, deadline=None)
@given(name=names, context=names, image=names, command=names, label=names)
def test_whatever_things_are_called_the_config_is_valid_and_says_where_they_are(
    tmp_path_factory: pytest.TempPathFactory, name: str, context: str, image: str, command: str, label: str
) -> None:
    raw = deployment("x", image=image, command=[command])
    raw["metadata"]["name"] = name
    raw["spec"]["selector"]["matchLabels"] = {"app": label}
    workload = read.from_template(raw, "Deployment", context)
    assert workload is not None
    process = Workload("process", name, commands=(command,), ports=(8000, 8002), pid=7)
    candidates = [scored(workload), scored(process), scored(workload)]
    path = tmp_path_factory.mktemp("config") / "infdiag.toml"
    path.write_text(config_text(candidates, kubeconfig=Path("/k"), today="2026-01-01"), encoding="utf-8")
    config = load_config(path)
    assert len(config.models) == 3
    kubernetes = next(one.kubernetes for one in config.models.values() if one.kubernetes)
    assert (kubernetes.context, kubernetes.namespace, kubernetes.selector) == (context, "ml", workload.selector)
    assert next(one.host for one in config.models.values() if one.host.port).port == 8000


@pytest.mark.parametrize("server", known().servers, ids=lambda server: server.name)
def test_the_commented_part_is_a_valid_config_too(server: Any, tmp_path: Path) -> None:
    workload = found(deployment("ranker"))
    process = Workload("process", "p", ports=server.ports, pid=7)
    text = config_text(
        [Candidate(process, 5, ("x",), server), Candidate(workload, 5, (), server)], kubeconfig=None, today=""
    )
    uncommented = [
        line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# ") or "=" in line or "[" in line
    ]
    raw = tomllib.loads("\n".join(uncommented))
    assert raw["models"]["ranker"]["endpoint"]["protocol"] == server.protocol
    raw["models"]["p"]["endpoint"]["url"].index("127.0.0.1")
    path = tmp_path / "infdiag.toml"
    path.write_text("\n".join(uncommented).replace("k8s://", "http://host/"))
    assert load_config(path).models["p"].endpoint is not None
