"""What two scrapes say together: by server, with resets, and of several replicas."""

from __future__ import annotations

import pytest

from infdiag_tui.servers.adapters import ChoiceError, configured
from infdiag_tui.servers.counters import Scrape
from infdiag_tui.servers.metrics_text import parse_metrics
from infdiag_tui.servers.reading import Mean, Reading, figures, read, together
from infdiag_tui.servers.v2_stats import stats_page
from tests.servers.texts import SAMPLES, TORCHSERVE, UNKNOWN, VLLM, bumped, reading


def test_triton() -> None:
    text = (SAMPLES / "triton-metrics.txt").read_text()
    label = '{model="tiny",version="1"}'
    after = bumped(
        text,
        {
            f"nv_inference_request_success{label}": 20,
            'nv_inference_request_failure{model="tiny",reason="BACKEND",version="1"}': 2,
            'nv_inference_request_failure{model="tiny",reason="REJECTED",version="1"}': 3,
            f"nv_inference_count{label}": 20,
            f"nv_inference_exec_count{label}": 5,
            f"nv_inference_request_duration_us{label}": 600_000,
            f"nv_inference_queue_duration_us{label}": 40_000,
            f"nv_inference_compute_infer_duration_us{label}": 500_000,
            f"nv_inference_pending_request_count{label}": 6,
        },
    )
    told = figures(reading(text, after, model="tiny"))
    assert told["server.request_rate"] == pytest.approx(2.5)
    assert told["server.error_share"] == pytest.approx(2 / 25)
    assert told["server.rejected_share"] == pytest.approx(3 / 25)
    assert told["server.batch_size"] == pytest.approx(4)
    assert told["server.queue_depth"] == 6
    assert told["server.request_ms"] == pytest.approx(30)
    assert told["stages.queue_ms"] == pytest.approx(2)
    assert told["stages.inference_ms"] == pytest.approx(25)


def test_tritons_statistics_extension() -> None:
    import json

    body = json.loads((SAMPLES / "triton-stats.json").read_text())
    before = stats_page({"model_stats": []})
    after = stats_page(body)
    assert before is not None
    assert after is not None
    from infdiag_tui.servers.adapters import known_servers

    (server,) = [one for one in known_servers() if one.name == "Triton statistics"]
    told = figures(read([(Scrape("u", before, after), [server])], "tiny", 10.0))
    assert told["server.request_rate"] == pytest.approx(29.7)
    assert told["server.batch_size"] == pytest.approx(297 / 63)
    assert told["stages.queue_ms"] == pytest.approx(2386370571 / 297 / 1e6)
    assert told["server.error_share"] == 0


def test_mlserver_with_its_http_metrics_for_the_whole_request() -> None:
    text = (SAMPLES / "mlserver-metrics.txt").read_text()
    rest = 'app_name="mlserver",method="POST",path="/v2/models/{model_name}/infer",status_code="200"'
    after = bumped(
        text,
        {
            'model_infer_request_success_total{model="slow",version="None"}': 9,
            'model_infer_request_failure_total{model="slow",version="None"}': 1,
            'model_infer_request_duration_count{model="slow",version="None"}': 10,
            'model_infer_request_duration_sum{model="slow",version="None"}': 0.5,
            f"rest_server_request_duration_seconds_count{{{rest}}}": 10,
            f"rest_server_request_duration_seconds_sum{{{rest}}}": 0.6,
        },
    )
    told = figures(reading(text, after, model="slow"))
    assert told["stages.inference_ms"] == pytest.approx(50)
    assert told["server.request_ms"] == pytest.approx(60)
    assert told["server.request_rate"] == pytest.approx(1)
    assert told["server.error_share"] == pytest.approx(0.1)
    assert told["server.in_flight"] == 9


def test_kserve() -> None:
    text = (SAMPLES / "kserve-metrics.txt").read_text()
    steps: dict[str, float] = {}
    for stage, seconds in {"preprocess": 0.02, "predict": 0.3, "postprocess": 0.01}.items():
        steps[f'request_{stage}_seconds_count{{model_name="tiny"}}'] = 10
        steps[f'request_{stage}_seconds_sum{{model_name="tiny"}}'] = seconds
    told = figures(reading(text, bumped(text, steps), model="tiny"))
    assert told == {
        "server.request_rate": pytest.approx(1),  # a count of times is a count of requests where there is no other
        "stages.preprocess_ms": pytest.approx(2),
        "stages.inference_ms": pytest.approx(30),
        "stages.postprocess_ms": pytest.approx(1),
    }


def test_vllm_by_its_own_metrics_and_its_http_layers_failures() -> None:
    label = '{engine="0",model_name="llama"}'
    after = bumped(
        VLLM,
        {
            'vllm:request_success_total{engine="0",finished_reason="stop",model_name="llama"}': 10,
            f"vllm:request_queue_time_seconds_count{label}": 10,
            f"vllm:request_queue_time_seconds_sum{label}": 4,
            f"vllm:request_prefill_time_seconds_count{label}": 10,
            f"vllm:request_prefill_time_seconds_sum{label}": 1,
            f"vllm:request_decode_time_seconds_count{label}": 10,
            f"vllm:request_decode_time_seconds_sum{label}": 20,
            f"vllm:time_to_first_token_seconds_count{label}": 10,
            f"vllm:time_to_first_token_seconds_sum{label}": 5.5,
            f"vllm:e2e_request_latency_seconds_count{label}": 10,
            f"vllm:e2e_request_latency_seconds_sum{label}": 25.5,
            'http_requests_total{handler="/v1/completions",method="POST",status="5xx"}': 2,
        },
    )
    told = figures(reading(VLLM, after, model="llama"))
    assert told["stages.queue_ms"] == pytest.approx(400)
    assert told["stages.inference_ms"] == pytest.approx(2100)
    assert told["stages.preprocess_ms"] == pytest.approx(50)  # first token less queue and prefill
    assert told["server.request_ms"] == pytest.approx(2550)
    assert told["server.kv_cache_share"] == pytest.approx(0.97)
    assert (told["server.queue_depth"], told["server.in_flight"], told["server.nan_outputs"]) == (7, 4, 0)
    assert told["server.error_share"] == pytest.approx(2 / 10)


def test_torchserves_counters_and_its_gauge_of_the_last_request() -> None:
    label = '{model_name="resnet",model_version="1.0",hostname="h",}'
    after = bumped(
        TORCHSERVE,
        {
            f"ts_inference_requests_total{label}": 10,
            f"ts_inference_latency_microseconds{label}": 500_000,
            f"ts_queue_latency_microseconds{label}": 100_000,
        },
    )
    told = figures(reading(TORCHSERVE, after))
    assert told["server.request_ms"] == pytest.approx(50)
    assert told["stages.queue_ms"] == pytest.approx(10)
    assert told["stages.inference_ms"] == pytest.approx(31.5)
    idle = figures(reading(TORCHSERVE, TORCHSERVE))
    assert "stages.inference_ms" not in idle, "the gauge still holds a request from before"
    assert idle["server.request_rate"] == 0


def test_an_unknown_server() -> None:
    after = bumped(
        UNKNOWN,
        {
            'acme_http_requests_total{route="/score",status="200"}': 94,
            'acme_http_requests_total{route="/score",status="500"}': 4,
            'acme_http_requests_total{route="/score",status="429"}': 2,
            'acme_http_requests_total{route="/healthz",status="200"}': 900,
            'acme_http_request_duration_seconds_sum{route="/score"}': 20,
            'acme_http_request_duration_seconds_count{route="/score"}': 100,
            'acme_http_request_duration_seconds_count{route="/healthz"}': 900,
            'acme_preprocessing_duration_ms_sum{model="scorer"}': 15_000,
            'acme_preprocessing_duration_ms_count{model="scorer"}': 100,
            "acme_gc_pause_seconds_sum": 1.5,
            "acme_gc_pause_seconds_count": 5,
            "acme_batch_size_sum": 100,
            "acme_batch_size_count": 50,
            "acme_feature_store_request_duration_seconds_sum": 10,
            "acme_feature_store_request_duration_seconds_count": 200,
            'acme_feature_store_errors_total{kind="timeout"}': 50,
            "acme_nan_outputs_total": 3,
        },
    )
    told = figures(reading(UNKNOWN, after, model="scorer"))
    assert told["server.request_rate"] == pytest.approx(10), "health checks are no requests"
    assert told["server.error_share"] == pytest.approx(0.04), "a client's mistake (4xx) is no failure"
    assert told["server.rejected_share"] == pytest.approx(0.02)
    assert told["server.request_ms"] == pytest.approx(200)
    assert told["stages.preprocess_ms"] == pytest.approx(150)
    assert told["server.gc_share"] == pytest.approx(0.15)
    assert told["server.gc_pause_ms"] == pytest.approx(300)
    assert told["server.batch_size"] == pytest.approx(2)
    assert told["server.connections_share"] == pytest.approx(0.75)
    assert told["server.dependency_ms"] == pytest.approx(50)
    assert told["server.dependency_error_share"] == pytest.approx(0.25)
    assert (told["server.nan_outputs"], told["server.model_load_s"]) == (3, 12.5)


def test_what_happened_to_nobody_is_absent_and_never_zero() -> None:
    told = figures(reading(UNKNOWN, UNKNOWN))
    assert told["server.request_rate"] == 0
    absent = ("server.request_ms", "server.error_share", "server.batch_size", "stages.preprocess_ms")
    assert not told.keys() & set(absent)
    assert figures(reading("a 1\n", "a 2\n")) == {}


def test_families_that_appear_with_the_first_request_are_counted_from_nothing() -> None:
    after = bumped(UNKNOWN, {})
    told = figures(reading("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1\n", after))
    assert told["server.request_rate"] == pytest.approx(101.5)


def test_counters_that_went_back_are_told() -> None:
    lower = UNKNOWN.replace('status="200"} 1000', 'status="200"} 7')
    assert reading(UNKNOWN, lower).resets > 0
    assert reading(UNKNOWN, UNKNOWN).resets == 0


def test_names_of_the_config_outrank_what_a_known_server_tells() -> None:
    own = configured(("inference=my_time_seconds", "queue_depth=my_queue", "gc=my_gc_ms", "kv_cache=my_cache_percent"))
    assert own is not None
    text = VLLM + (
        "# TYPE my_queue gauge\nmy_queue 99\nmy_cache_percent 50\n"
        "my_time_seconds_sum 1\nmy_time_seconds_count 10\nmy_gc_ms_sum 100\nmy_gc_ms_count 2\n"
    )
    after = bumped(
        text, {"my_time_seconds_sum": 1, "my_time_seconds_count": 10, "my_gc_ms_sum": 500, "my_gc_ms_count": 5}
    )
    from infdiag_tui.servers.adapters import known_servers

    servers = [own, *(one for one in known_servers() if one.name == "vLLM")]
    told = figures(read([(Scrape("u", parse_metrics(text), parse_metrics(after)), servers)], "llama", 10.0))
    assert told["stages.inference_ms"] == pytest.approx(100)
    assert told["server.queue_depth"] == 99
    assert told["server.gc_share"] == pytest.approx(0.05)
    assert told["server.gc_pause_ms"] == pytest.approx(100)
    assert told["server.kv_cache_share"] == pytest.approx(0.5)
    assert told["server.in_flight"] == 4, "what the config does not name is still the server's"


@pytest.mark.parametrize("choice", ["nonsense=x", "queue_depth=", "queue_depth=a b", "gc=x{y}"])
def test_names_that_cannot_be_read_are_refused_with_the_place(choice: str) -> None:
    with pytest.raises(ChoiceError, match=r"metrics\.names"):
        configured((choice,), where="metrics.names")


def test_replicas_together_add_up_and_the_worst_pauses_count() -> None:
    one = Reading(
        10.0,
        {"inference": Mean(10.0, 100.0)},
        {"requests": 100.0, "errors": 1.0},
        {"queue_depth": 2.0, "kv_cache": 0.2},
        gc_ms=100.0,
        gc_pauses=1.0,
    )
    other = Reading(
        5.0,
        {"inference": Mean(40.0, 50.0)},
        {"requests": 50.0, "errors": 0.0},
        {"queue_depth": 3.0, "kv_cache": 0.9},
        gc_ms=500.0,
        gc_pauses=2.0,
    )
    told = figures(together([one, other]))
    assert told["server.request_rate"] == pytest.approx(20)
    assert told["server.error_share"] == pytest.approx(1 / 200)
    assert told["stages.inference_ms"] == pytest.approx(20)
    assert (told["server.queue_depth"], told["server.kv_cache_share"]) == (5.0, 0.9)
    assert told["server.gc_share"] == pytest.approx(0.1)
    assert told["server.gc_pause_ms"] == pytest.approx(250)


def test_a_share_is_never_above_one() -> None:
    odd = Reading(10.0, counts={"requests": 5.0, "rejected": 50.0})
    assert figures(odd)["server.rejected_share"] == 1.0
