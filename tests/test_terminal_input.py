"""What a terminal sends: keys, pastes with anything in them, bytes of another encoding, in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from infdiag_tui.terminal_input import TerminalInput

START, END = b"\x1b[200~", b"\x1b[201~"


def read(*pieces: bytes) -> list[Message]:
    terminal = TerminalInput()
    return [message for piece in pieces for message in terminal.feed(piece)]


def keys(messages: list[Message]) -> list[str]:
    return [message.key for message in messages if isinstance(message, events.Key)]


def pastes(messages: list[Message]) -> list[str]:
    return [message.text for message in messages if isinstance(message, events.Paste)]


def test_keys_and_mouse_arrive_as_such() -> None:
    messages = read(b"q\x1b[A\x1b[<0;3;4M")
    assert keys(messages) == ["q", "up"]
    assert any(isinstance(message, events.MouseDown) for message in messages)


@pytest.mark.parametrize("text", [b"\x1b[2J q", b"\x1b", b"a\x1b[20\x1b[200~q", b"\x1b]0;x\x07 z", b"\x1b\x1b[201"])
def test_nothing_in_a_paste_is_taken_for_a_key(text: bytes) -> None:
    messages = read(START + text + END + b"s")
    assert pastes(messages) == [text.decode().replace("\x1b", "")]
    assert keys(messages) == ["s"]


@given(
    st.lists(
        st.one_of(st.sampled_from(["\x1b", "\x1b[200~", "\x1b[2", "q", "[", "é\n"]), st.text(max_size=4)), max_size=8
    ),
    st.integers(1, 7),
)
def test_a_paste_is_the_same_in_whatever_pieces_it_comes(parts: list[str], size: int) -> None:
    text = "".join(parts).replace("\x1b[201~", "").replace("\x00", "")
    sent = START + text.encode(errors="replace") + END + b"s"
    messages = read(*(sent[at : at + size] for at in range(0, len(sent), size)))
    assert keys(messages) == ["s"]
    assert "".join(pastes(messages)) == text.encode(errors="replace").decode().replace("\x1b", "")


def test_a_byte_of_another_encoding_costs_one_character() -> None:
    assert keys(read(b"a\xffb", b"\xc3", b"\xa9"))[:1] == ["a"]
    characters = [m.character for m in read(b"a\xffb", b"\xc3", b"\xa9") if isinstance(m, events.Key)]
    assert characters == ["a", "\ufffd", "b", "é"]
