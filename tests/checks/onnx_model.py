"""Writes small ONNX models as protobuf by hand (onnx.proto's field numbers), so that no test needs the onnx package."""

from __future__ import annotations

from pathlib import Path

_FLOAT = 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(_message(1, _number(1, dim) if isinstance(dim, int) else _message(2, dim)) for dim in shape)
    return _message(1, name) + _message(2, _message(1, _number(1, _FLOAT) + _message(2, dims)))


def write(path: Path, operators: tuple[str, ...], shape: tuple[int | str, ...]) -> None:
    """A chain of one-input operators (`Sin`, `Relu`, ...) over a float input `x` of that shape."""
    names = ["x", *(f"v{number}" for number in range(1, len(operators) + 1))]
    nodes = b"".join(
        _message(1, _message(1, names[i]) + _message(2, names[i + 1]) + _message(3, f"n{i}") + _message(4, operator))
        for i, operator in enumerate(operators)
    )
    graph = nodes + _message(2, "graph") + _message(11, _value("x", shape)) + _message(12, _value(names[-1], shape))
    path.write_bytes(_number(1, 8) + _message(7, graph) + _message(8, _number(2, 13)))
