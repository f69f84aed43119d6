"""A native histogram as an exporter gives it to Prometheus: the protobuf exposition, encoded by hand.

Field numbers: client_model's metrics.proto (MetricFamily, Metric, Histogram, BucketSpan).
"""

from __future__ import annotations

import struct

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_VARINT, _DOUBLE, _BYTES = 0, 1, 2
_HISTOGRAM = 4


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _field(number: int, kind: int, value: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(value)) + value if kind == _BYTES else value)


def family(name: str, labels: dict[str, str], buckets: dict[int, int], total: float, *, schema: int = 3) -> bytes:
    """One metric family: `buckets` by index (upper bound 2**(index / 2**schema)) with their counts."""
    indices = sorted(buckets)
    spans, deltas, before, last = b"", b"", 0, None
    for index in indices:
        offset = index if last is None else index - last - 1
        spans += _field(12, _BYTES, _field(1, _VARINT, _zigzag(offset)) + _field(2, _VARINT, _varint(1)))
        deltas += _field(13, _VARINT, _zigzag(buckets[index] - before))
        before, last = buckets[index], index
    histogram = (
        _field(1, _VARINT, _varint(sum(buckets.values())))
        + _field(2, _DOUBLE, struct.pack("<d", total))
        + _field(5, _VARINT, _zigzag(schema))
        + _field(6, _DOUBLE, struct.pack("<d", 1e-128))
        + _field(7, _VARINT, _varint(0))
        + spans
        + deltas
    )
    metric = b"".join(
        _field(1, _BYTES, _field(1, _BYTES, key.encode()) + _field(2, _BYTES, text.encode()))
        for key, text in labels.items()
    )
    metric += _field(7, _BYTES, histogram)
    body = _field(1, _BYTES, name.encode()) + _field(3, _VARINT, _varint(_HISTOGRAM)) + _field(4, _BYTES, metric)
    return _varint(len(body)) + body
