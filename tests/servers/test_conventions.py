"""Unknown servers' metrics: recognised by custom, and not when in doubt."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.servers.conventions import recognised
from infdiag_tui.servers.families import words_of
from infdiag_tui.servers.metrics_text import parse_metrics
from tests.servers.texts import SAMPLES, UNKNOWN


def found(text: str, model: str = "") -> dict[str, str]:
    """What was recognised: metric by stage or signal."""
    server = recognised(parse_metrics(text), model)
    parts: dict[str, str] = {part.stage: part.metric for part in server.parts}
    return {
        **parts,
        **{one.name: (*one.counter, *one.histogram, *one.gauge)[0] for one in server.signals},
    }


def timed(*names: str, labels: str = "") -> str:
    return "".join(f"# TYPE {name} histogram\n{name}_sum{labels} 1\n{name}_count{labels} 2\n" for name in names)


def test_a_server_that_nobody_knows_tells_all_of_it() -> None:
    assert found(UNKNOWN) == {
        "preprocess": "acme_preprocessing_duration_ms",
        "postprocess": "acme_post_process_duration_ms",
        "serialization": "acme_response_encode_seconds",
        "queue": "acme_queue_wait_seconds",
        "inference": "acme_inference_duration_ms",
        "total": "acme_http_request_duration_seconds",
        "requests": "acme_http_requests_total",
        "errors": "acme_http_requests_total",
        "rejected": "acme_http_requests_total",
        "nan_outputs": "acme_nan_outputs_total",
        "queue_depth": "acme_requests_waiting",
        "in_flight": "acme_requests_in_progress",
        "batch_size": "acme_batch_size",
        "gc": "acme_gc_pause_seconds",
        "model_load": "acme_model_load_seconds",
        "connections": "acme_connections_in_use",
        "connections_limit": "acme_connections_limit",
        "dependency": "acme_feature_store_request_duration_seconds",
        "dependency_errors": "acme_feature_store_errors_total",
    }


@pytest.mark.parametrize("prefix", ["", "x_", "payments_fraud_v2_", "ns:sub:"])
def test_whose_name_stands_in_front_does_not_matter(prefix: str) -> None:
    renamed = re.sub(r"(^|\n)(# \w+ )?acme_", lambda match: f"{match[1]}{match[2] or ''}{prefix}", UNKNOWN)
    named = {what: metric.replace("acme_", prefix) for what, metric in found(UNKNOWN).items()}
    assert found(renamed) == named


@pytest.mark.parametrize(
    "name", ["request_preprocess", "preprocess_time", "inference_latency", "gc_pause", "queue_wait"]
)
def test_a_time_without_a_stated_unit_is_not_guessed_at(name: str) -> None:
    assert found(timed(name)) == {}


def test_a_unit_that_the_page_states_counts_and_outranks_the_name() -> None:
    text = "# UNIT preprocess_time milliseconds\n" + timed("preprocess_time")
    (part,) = recognised(parse_metrics(text)).parts
    assert (part.stage, part.unit) == ("preprocess", "ms")
    odd = "# UNIT preprocess_seconds microseconds\n" + timed("preprocess_seconds")
    assert recognised(parse_metrics(odd)).parts[0].unit == "us"


def test_stages_that_a_label_names() -> None:
    text = "".join(
        f'app_stage_duration_seconds_sum{{stage="{stage}"}} 1\napp_stage_duration_seconds_count{{stage="{stage}"}} 2\n'
        for stage in ("preprocess", "model_forward", "postprocess", "serialize", "queue", "cleanup")
    )
    parts = recognised(parse_metrics(text)).parts
    assert {part.stage: part.labels["stage"] for part in parts} == {
        "preprocess": "preprocess",
        "inference": "model_forward",
        "postprocess": "postprocess",
        "serialization": "serialize",
        "queue": "queue",
    }


def test_predicting_is_the_models_own_time_beside_other_stages_and_else_the_whole_request() -> None:
    alone = found(timed("predict_duration_seconds"))
    assert alone == {"total": "predict_duration_seconds", "requests": "predict_duration_seconds_count"}
    beside = found(timed("predict_duration_seconds", "preprocess_duration_seconds"))
    assert beside["inference"] == "predict_duration_seconds"
    assert "total" not in beside
    named = found(timed("model_inference_seconds", "http_request_duration_seconds"))
    assert (named["inference"], named["total"]) == ("model_inference_seconds", "http_request_duration_seconds")


def test_a_time_of_predicting_by_status_is_the_whole_request() -> None:
    text = timed("predict_duration_seconds", labels='{status="200"}') + timed("preprocess_duration_seconds")
    told = found(text)
    assert told["total"] == "predict_duration_seconds"
    assert "inference" not in told


def test_the_predict_routes_time_is_preferred_to_all_of_http() -> None:
    assert found(timed("http_request_duration_seconds", "predict_request_duration_seconds"))["total"] == (
        "predict_request_duration_seconds"
    )


def test_kserves_names_under_another_prefix_are_still_stages() -> None:
    told = found(timed(*(f"acme_request_{stage}_seconds" for stage in ("preprocess", "predict", "postprocess"))))
    assert told["inference"] == "acme_request_predict_seconds"
    assert "total" not in told


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        (timed("jvm_gc_pause_seconds"), "jvm_gc_pause_seconds"),
        (timed("go_gc_duration_seconds"), "go_gc_duration_seconds"),
        ("# TYPE app_gc_pause_seconds_total counter\napp_gc_pause_seconds_total 3\n", "app_gc_pause_seconds_total"),
        (timed("jvm_gc_concurrent_phase_time_seconds"), None),
        ("# TYPE python_gc_collections_total counter\npython_gc_collections_total 3\n", None),
    ],
)
def test_pauses_of_garbage_collection(text: str, metric: str | None) -> None:
    assert found(text).get("gc") == metric


def test_open_files_and_a_database_pool_say_nothing_of_the_servers_connections() -> None:
    gauges = {
        "process_open_fds": 10,
        "process_max_fds": 1000,
        "db_connections_active": 1,
        "db_connections_max": 10,
        "hikaricp_connections_active": 1,
        "hikaricp_connections_max": 10,
    }
    text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items())
    assert found(text) == {}


def test_a_gauge_without_a_type_and_an_untyped_number_are_left_alone() -> None:
    assert found("queue_size 3\nrequests_in_progress 4\n") == {}


def test_a_model_label_narrows_only_where_it_has_the_models_name() -> None:
    text = timed("preprocess_seconds", labels='{model="a"}')
    assert recognised(parse_metrics(text), "a").model_labels == ("model",)
    assert recognised(parse_metrics(text), "b").model_labels == ()


def test_calls_with_a_status_tell_failures_of_dependencies() -> None:
    labels = '{status="503",service="features"}'
    told = found(timed("http_client_request_duration_seconds", labels=labels))
    assert told["dependency"] == "http_client_request_duration_seconds"
    assert told["dependency_errors"] == "http_client_request_duration_seconds_count"
    assert "total" not in told


@pytest.mark.parametrize("name", ["triton-metrics.txt", "kserve-metrics.txt", "mlserver-metrics.txt"])
def test_real_pages_give_no_nonsense(name: str) -> None:
    told = found((SAMPLES / name).read_text())
    assert not {"gc", "connections", "dependency", "dependency_errors", "nan_outputs", "model_load"} & told.keys()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http_requests_total", "_http_request_total_"),
        ("HandlerTime", "_handler_time_"),
        ("vllm:e2e_request_latency_seconds", "_vllm_e2e_request_latency_second_"),
        ("process_status", "_process_status_"),
        ("db_queries", "_db_query_"),
    ],
)
def test_names_are_taken_apart(name: str, words: str) -> None:
    assert words_of(name) == words


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_no_page_breaks_it(text: str) -> None:
    recognised(parse_metrics(text), "m")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["request", "gc", "queue", "model", "batch", "client", "error", "connections", "in_use"]),
            st.sampled_from(["seconds", "ms", "total", "size", "limit", "max", "count", "bytes"]),
            st.sampled_from(["histogram", "counter", "gauge", "summary"]),
        ),
        max_size=12,
    )
)
def test_whatever_is_recognised_has_a_unit_that_the_page_states(names: list[tuple[str, str, str]]) -> None:
    text = "".join(
        f"# TYPE {word}_{end} {kind}\n{word}_{end} 1\n{word}_{end}_sum 1\n{word}_{end}_count 1\n"
        for word, end, kind in names
    )
    server = recognised(parse_metrics(text))
    assert all(part.histogram[0].endswith(("_seconds", "_ms")) for part in server.parts)
