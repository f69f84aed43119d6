"""Metrics text written by hand, as servers of each kind write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infdiag_tui.servers.adapters import known_servers
from infdiag_tui.servers.conventions import recognised
from infdiag_tui.servers.counters import Scrape
from infdiag_tui.servers.metrics_text import parse_metrics
from infdiag_tui.servers.reading import Reading, read

SAMPLES = Path(__file__).parents[1] / "checks" / "samples"


def bumped(text: str, steps: Mapping[str, float]) -> str:
    """`text` with the lines that start so counted up; each must be there once."""
    lines = text.splitlines()
    for start, step in steps.items():
        (place,) = [n for n, line in enumerate(lines) if line.rpartition(" ")[0] == start]
        name, _, number = lines[place].rpartition(" ")
        lines[place] = f"{name} {float(number) + step}"
    return "\n".join(lines) + "\n"


def reading(before: str, after: str, *, model: str = "", seconds: float = 10.0, generic: bool = True) -> Reading:
    """What a page's change says, recognised as the stream does."""
    pages = parse_metrics(before), parse_metrics(after)
    servers = [server for server in known_servers() if any(name in pages[1] for name in server.known_by)]
    if generic:
        servers.append(recognised(pages[1], model))
    return read([(Scrape("http://m/metrics", *pages), servers)], model, seconds)


VLLM = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="llama"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="llama"} 7.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="llama"} 0.97
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="llama"} 100.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="llama"} 10.0
# TYPE vllm:corrupted_requests_total counter
vllm:corrupted_requests_total{engine="0",model_name="llama"} 0.0
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3",model_name="llama"} 110.0
vllm:request_queue_time_seconds_bucket{engine="0",le="+Inf",model_name="llama"} 110.0
vllm:request_queue_time_seconds_count{engine="0",model_name="llama"} 110.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="llama"} 5.0
# TYPE vllm:request_prefill_time_seconds histogram
vllm:request_prefill_time_seconds_count{engine="0",model_name="llama"} 110.0
vllm:request_prefill_time_seconds_sum{engine="0",model_name="llama"} 6.0
# TYPE vllm:request_decode_time_seconds histogram
vllm:request_decode_time_seconds_count{engine="0",model_name="llama"} 110.0
vllm:request_decode_time_seconds_sum{engine="0",model_name="llama"} 200.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_count{engine="0",model_name="llama"} 110.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="llama"} 12.0
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_count{engine="0",model_name="llama"} 110.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="llama"} 220.0
# TYPE http_requests_total counter
http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 110.0
http_requests_total{handler="/v1/completions",method="POST",status="5xx"} 3.0
"""

TORCHSERVE = """\
# HELP ts_inference_requests_total Total number of inference requests.
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="resnet",model_version="1.0",hostname="h",} 50.0
# TYPE ts_inference_latency_microseconds counter
ts_inference_latency_microseconds{model_name="resnet",model_version="1.0",hostname="h",} 2000000.0
# TYPE ts_queue_latency_microseconds counter
ts_queue_latency_microseconds{model_name="resnet",model_version="1.0",hostname="h",} 500000.0
# TYPE HandlerTime gauge
HandlerTime{ModelName="resnet",Level="Model",Hostname="h",} 31.5
"""

UNKNOWN = """\
# HELP acme_http_requests_total Requests by route and status.
# TYPE acme_http_requests_total counter
acme_http_requests_total{route="/score",status="200"} 1000
acme_http_requests_total{route="/score",status="500"} 4
acme_http_requests_total{route="/score",status="429"} 2
acme_http_requests_total{route="/score",status="422"} 9
acme_http_requests_total{route="/healthz",status="200"} 5000
acme_http_requests_total{route="/metrics",status="200"} 700
# TYPE acme_http_request_duration_seconds histogram
acme_http_request_duration_seconds_sum{route="/score"} 50
acme_http_request_duration_seconds_count{route="/score"} 1015
acme_http_request_duration_seconds_sum{route="/healthz"} 9000
acme_http_request_duration_seconds_count{route="/healthz"} 5000
# TYPE acme_preprocessing_duration_ms histogram
acme_preprocessing_duration_ms_sum{model="scorer"} 8000
acme_preprocessing_duration_ms_count{model="scorer"} 1000
# TYPE acme_inference_duration_ms histogram
acme_inference_duration_ms_sum{model="scorer"} 30000
acme_inference_duration_ms_count{model="scorer"} 1000
# TYPE acme_post_process_duration_ms histogram
acme_post_process_duration_ms_sum{model="scorer"} 1000
acme_post_process_duration_ms_count{model="scorer"} 1000
# TYPE acme_response_encode_seconds histogram
acme_response_encode_seconds_sum 1
acme_response_encode_seconds_count 1000
# TYPE acme_queue_wait_seconds summary
acme_queue_wait_seconds_sum 2
acme_queue_wait_seconds_count 1000
# TYPE acme_requests_waiting gauge
acme_requests_waiting 3
# TYPE acme_requests_in_progress gauge
acme_requests_in_progress 5
# TYPE acme_batch_size histogram
acme_batch_size_sum 1000
acme_batch_size_count 250
# TYPE acme_gc_pause_seconds summary
acme_gc_pause_seconds_sum 10
acme_gc_pause_seconds_count 100
# TYPE acme_connections_in_use gauge
acme_connections_in_use 48
# TYPE acme_connections_limit gauge
acme_connections_limit 64
# TYPE acme_feature_store_request_duration_seconds histogram
acme_feature_store_request_duration_seconds_sum 20
acme_feature_store_request_duration_seconds_count 2000
# TYPE acme_feature_store_errors_total counter
acme_feature_store_errors_total{kind="timeout"} 5
# TYPE acme_nan_outputs_total counter
acme_nan_outputs_total 0
# TYPE acme_model_load_seconds gauge
acme_model_load_seconds 12.5
# TYPE acme_worker_heartbeat_age gauge
acme_worker_heartbeat_age 3
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 500
"""
