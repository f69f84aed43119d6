"""Short names of log sources tell the sources apart within their column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.ink import cells, flat
from widgets.log_sources import source_labels, tail_of
from widgets.log_text import LogLayout, source_room

POD = "ml-serving/fraud-scorer-a518eebb92-"


@pytest.mark.parametrize(
    ("source", "width", "label"),
    [
        ("ml-serving/fraud-scorer-a518eebb92-52pjr/server", 20, "…52pjr/server"),
        ("ml-serving/fraud-scorer-a518eebb92-52pjr/server", 24, "…a518eebb92-52pjr/server"),
        ("ml-serving/fraud-scorer-a518eebb92-52pjr/server", 8, "…server"),
        ("app.log", 20, "app.log"),
        ("x" * 40, 10, "…" + "x" * 9),
        ("x", 0, ""),
    ],
)
def test_a_long_name_keeps_its_end(source: str, width: int, label: str) -> None:
    assert tail_of(source, width) == label


@pytest.mark.parametrize(
    ("sources", "labels"),
    [
        ([f"{POD}52pjr/server"], ["…a518eebb92-52pjr"]),
        ([f"{POD}52pjr/server", f"{POD}7rk2v/server"], ["…52pjr", "…7rk2v"]),
        ([f"{POD}52pjr/server", f"{POD}52pjr/proxy"], ["…52pjr/server", "…52pjr/proxy"]),
        (["a/ranker-1/server", "b/ranker-1/server"], ["a/ranker-1", "b/ranker-1"]),
        (["a/ranker-1/server", "a/scorer-1/proxy"], ["ranker-1/server", "scorer-1/proxy"]),
        (["/var/log/app-1.log", "/var/log/app-2.log"], ["…app-1.log", "…app-2.log"]),
        (["gateway.log", f"{POD}52pjr/server", f"{POD}7rk2v/server"], ["gateway.log", "…52pjr", "…7rk2v"]),
        (["a/a-b/c", "a/a-b-c/c"], ["…b", "…b-c"]),
        ([], []),
    ],
)
def test_what_all_sources_share_goes(sources: list[str], labels: list[str]) -> None:
    assert list(source_labels(sources, 20).values()) == labels


def test_sources_that_differ_at_their_beginning_only_stay_apart() -> None:
    sources = ["first/" + "x" * 60 + "/log", "other/" + "x" * 60 + "/log"]
    first, other = source_labels(sources, 16).values()
    assert first != other


@given(st.lists(st.text(max_size=30) | st.from_regex(r"[ab]/[ab-]{1,9}/[ab]", fullmatch=True)), st.integers(-3, 30))
def test_any_sources_get_a_label_within_the_column(sources: list[str], width: int) -> None:
    labels = source_labels(sources, width)
    assert set(labels) == (set(sources) if width > 0 else set())
    assert all(cells(label) <= width and label == flat(label) for label in labels.values())


def test_the_column_is_no_wider_than_its_labels() -> None:
    sources = [f"{POD}52pjr/server", f"{POD}7rk2v/server"]
    layout = LogLayout(120, labels=source_labels(sources, source_room(120)))
    assert layout.source_width == len("…52pjr")
    assert layout.text_width == LogLayout(120).text_width + source_room(120) - len("…52pjr")
