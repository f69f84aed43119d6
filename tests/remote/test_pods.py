"""Which pod and container a command goes to."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infdiag_tui.config import Kubernetes
from infdiag_tui.model import Container, Pod
from infdiag_tui.remote.pods import NoPlaceError, choose, main_container
from infdiag_tui.streams.kube.execute import ContainerPlace
from infdiag_tui.streams.kube.parse import parse_pod


def container(name: str, **more: Any) -> Container:
    return Container(name=name, **{"state": "running", **more})


def pod(name: str, *containers: Container, ready: bool = True, **more: Any) -> Pod:
    return Pod("ml", name, f"uid-{name}", "Running", 0.0, ready=ready, containers=containers, **more)


@pytest.mark.parametrize(
    ("containers", "chosen"),
    [
        ([container("istio-proxy", ports=(15090,)), container("server", ports=(8000,))], "server"),
        ([container("gateway", ports=(80,)), container("model", gpu_limit=1)], "model"),
        ([container("helper"), container("web", ports=(80,))], "web"),
        ([container("helper", image="helper:1"), container("main", image="reg/fraud-scorer:2")], "main"),
        ([container("one"), container("two")], "one"),
        ([container("queue-proxy"), container("agent")], "queue-proxy"),
    ],
)
def test_the_main_container_is_the_likeliest_model_server(containers: list[Container], chosen: str) -> None:
    assert main_container(pod("p", *containers), "", "fraud-scorer").name == chosen


def test_the_pods_own_default_container_comes_before_a_guess() -> None:
    raw = {
        "metadata": {
            "name": "p",
            "namespace": "ml",
            "annotations": {"kubectl.kubernetes.io/default-container": "plain"},
        },
        "spec": {"containers": [{"name": "gpu", "resources": {"limits": {"nvidia.com/gpu": "1"}}}, {"name": "plain"}]},
        "status": {},
    }
    parsed = parse_pod(raw, 0.0)

    assert main_container(parsed, "", "").name == "plain"
    assert main_container(parsed, "gpu", "").name == "gpu"


def test_the_first_ready_pod_is_taken_and_one_in_trouble_only_for_want_of_another() -> None:
    server = container("server")
    crashing = container("server", state="waiting", state_reason="CrashLoopBackOff")
    settings = Kubernetes(selector="app=s")

    pods = [pod("c", server), pod("a", server, ready=False), pod("b", server), pod("d", server, deleting=True)]
    assert choose(pods, settings, "s") == ContainerPlace("ml", "b", "server")
    assert choose([pod("a", crashing, ready=False), pod("b", server, ready=False)], settings, "s").pod == "b"


def test_a_configured_pod_and_container_are_taken_at_their_word() -> None:
    pods = [pod("a", container("x"), container("y")), pod("b", container("x"), container("y"), ready=False)]

    assert choose(pods, Kubernetes(exec_pod="b", exec_container="y"), "") == ContainerPlace("ml", "b", "y")


@pytest.mark.parametrize(
    ("pods", "settings", "said"),
    [
        ([], {"selector": "app=s"}, "no pod of selector app=s is known; set kubernetes.namespace"),
        ([pod("a", container("x"))], {"exec_pod": "b"}, "kubernetes.exec_pod (--exec-pod): a"),
        ([pod("a", container("x"))], {"exec_container": "y"}, "kubernetes.exec_container (--exec-container): x"),
        (
            [pod("a", container("x", state="waiting", state_reason="ImagePullBackOff"), ready=False)],
            {"selector": "app=s"},
            "a is ImagePullBackOff",
        ),
        (
            [pod("a", container("x", state="terminated", state_reason="OOMKilled"))],
            {"exec_pod": "a"},
            "container x of pod a does not run (OOMKilled)",
        ),
        ([pod("a")], {"exec_pod": "a"}, "has no containers yet"),
    ],
)
def test_no_place_is_said_with_what_would_help(pods: list[Pod], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(NoPlaceError, match=re.escape(said)):
        choose(pods, Kubernetes(**settings), "s")
