"""Addresses in a cluster: what they stand for, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.servers.in_cluster import ClusterHost, InCluster, cluster_host, http_url_of

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("url", "http"),
    [
        ("k8s://ml/scorer:8000/predict?x=1", "http://scorer.ml.svc:8000/predict?x=1"),
        ("k8s://ml/scorer", "http://scorer.ml.svc/"),
        ("k8s://ml/service/pod:80/a", "http://pod.ml.svc:80/a"),
        ("k8s://ml/https:scorer:8443/predict", "https://scorer.ml.svc:8443/predict"),
        ("K8S://ml/pod/scorer-0.a:9000/v1/x", "http://scorer-0.a.ml.pod:9000/v1/x"),
        ("k8s://ml/scorer:8000?x=1", "http://scorer.ml.svc:8000/?x=1"),
    ],
)
def test_a_k8s_url_is_the_http_url_in_the_cluster(url: str, http: str) -> None:
    assert http_url_of(url) == http


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("k8s://ml", "no address in a cluster"),
        ("k8s:///scorer:80/x", "names no service"),
        ("k8s://ml/sc_orer:80/x", "names no service"),
        ("k8s://ml/pod/-x:80/x", "names no pod"),
        ("k8s://ml/scorer:http/x", "port as a number"),
        ("k8s://ml/scorer:0/x", "port as a number"),
        ("k8s://u:p@ml/scorer:80/x", "names no service"),
    ],
)
def test_other_forms_are_refused_with_the_right_one(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        http_url_of(url)


@given(st.sampled_from(InCluster), LABELS, LABELS)
def test_a_host_names_what_it_was_made_from(kind: InCluster, namespace: str, name: str) -> None:
    made = ClusterHost(kind, namespace, name)

    assert cluster_host(made.host) == made


@pytest.mark.parametrize("host", ["scorer", "scorer.ml", "10.0.0.3", "model.example.com", "", None, "a.b.c.svc"])
def test_an_ordinary_host_is_none_of_the_clusters(host: str | None) -> None:
    assert cluster_host(host) is None


def test_the_full_name_in_the_clusters_dns_is_known_too() -> None:
    assert cluster_host("scorer.ml.svc.cluster.local") == ClusterHost(InCluster.SERVICE, "ml", "scorer")
