"""Chunks of bytes cut into lines: the same lines however they are chunked, in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.streams.log_splitter import MAX_LINE_BYTES, LineSplitter

PIECES = st.binary(max_size=8) | st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\0", "é模".encode()])


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_lines_are_the_same_however_the_bytes_are_chunked(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()
    parts = b"".join(chunks).replace(b"\0", b"").split(b"\n")
    expected = parts if parts[-1] else parts[:-1]
    assert lines == [(part.decode("utf-8", "replace"), 0) for part in expected]
    assert splitter.flush() == []


def test_an_endless_line_is_kept_to_its_limit_and_the_rest_counted() -> None:
    splitter = LineSplitter()
    for _ in range(160):
        assert splitter.feed(b"x" * 65_536) == []
        assert len(splitter._rest) <= MAX_LINE_BYTES
    assert splitter.holds
    assert splitter.feed(b"yy\nnext\nrest") == [("x" * MAX_LINE_BYTES, 159 * 65_536 + 2), ("next", 0)]
    assert splitter.flush() == [("rest", 0)]
