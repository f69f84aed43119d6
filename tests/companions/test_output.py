"""What a companion says is bounded and cleaned, and cutting it into pieces gives no secret away."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.companions.output import Heard
from infdiag_tui.remote.output import TooMuchError
from infdiag_tui.text import MARK, clean

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nu1SU1LfVLPHCozMx\n-----END RSA PRIVATE KEY-----\n"
SAYINGS = (
    "GPU 0 97 %\n",
    "password=hunter2hunter2\n",
    "password:\nhunter2hunter2\n",
    "api_key =>\n  hunter2hunter2\n",
    KEY,
    "\x1b[2J\x1b]52;c;aGk=\x07red\n",
    "Cookie: a=hunter2hunter2; b=2\n",
    "Containers:\n\n\n",
    "größer ✓\n",
    "no end",
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


@given(st.lists(st.sampled_from(SAYINGS), max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_however_it_is_cut_it_reads_as_if_it_came_at_once(sayings: list[str], cuts: list[int]) -> None:
    whole = "".join(sayings)
    told: list[str] = []
    heard = Heard(told.append)
    for piece in pieces(whole.encode(), cuts):
        heard.take("output", piece)
    heard.end()
    assert heard.text == clean(whole)
    assert all("hunter2" not in text and "MIIE" not in text and "\x1b" not in text for text in told)
    assert heard.begun is bool(whole)


def test_a_line_is_told_when_it_is_whole_and_a_key_when_it_has_ended() -> None:
    told: list[str] = []
    heard = Heard(told.append)
    heard.take("output", b"one\ntw")
    heard.take("output", b"o\n-----BEGIN PRIVATE KEY-----\nMIIEow\n")
    assert told == ["one\n", "one\ntwo\n"]
    heard.take("output", b"-----END PRIVATE KEY-----\n")
    assert told[-1] == f"one\ntwo\n{MARK}\n"


def test_a_line_of_one_channel_is_not_broken_by_the_other() -> None:
    told: list[str] = []
    heard = Heard(told.append)
    for channel, data in (("stdout", b"password=hunter"), ("stderr", b"complaint\n"), ("stdout", b"2hunter2\nlast")):
        heard.take(channel, data)
    heard.take("stderr", b"ending")
    heard.end()
    assert heard.text == f"complaint\npassword={MARK}\nlast\nending"
    assert told[0] == "complaint\n"


def test_no_more_is_kept_than_there_is_room_for() -> None:
    heard = Heard(lambda _: None, most_bytes=10)
    heard.take("output", b"12345\n")
    with pytest.raises(TooMuchError):
        heard.take("output", b"67890")
    heard.end()
    assert heard.text == "12345\n6789"


def test_what_is_no_text_is_drawn_all_the_same() -> None:
    heard = Heard(lambda _: None)
    heard.take("output", b"\xff\x00a\xe2\x82")
    heard.end()
    assert heard.text == "\ufffda\ufffd"
