"""Untrusted text: nothing but printable characters passes, secrets do not, ordinary log text does."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.text import MARK, clean, one_line, printable, redact

PIECES = st.sampled_from(
    [
        "password", "token", "secret", "api_key", "Authorization", "Bearer ", "basic ", "cookie", "sig", "=", ": ", ":",
        '"', "'", "://", "@", "/", "eyJ", "eyJhbGciOi", ".", "hf_", "a" * 20, "AKIA" + "A" * 16, "sk-", "--", " ", "\n",
        MARK, "[", "]", "redacted", "\\", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", ",",
        ";", "s", "_",
        "\x1b", "\x1b[", "\x1b]", "\x9b", "\x9d", "\x07", "\x00", "\r", "\t", "31m", "0", "A1", "b'",
    ],
)  # fmt: skip
HOSTILE = st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join)


def is_clean_character(character: str) -> bool:
    return character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")


@settings(deadline=None)
@given(HOSTILE | st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@settings(deadline=None)
@given(HOSTILE | st.text())
def test_no_control_character_but_newline_passes(text: str) -> None:
    assert all(is_clean_character(character) for character in clean(text))
    assert "\n" not in one_line(text)


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_printable_text_without_format_characters_is_left_alone(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;36m(EngineCore_DP0 pid=7)\x1b[0;0m up", "(EngineCore_DP0 pid=7) up"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;unfinished\nERROR stays", "52;c;unfinished\nERROR stays"),
        ("\x9b31mred", "red"),
        ("\x1b\x1b[31mred", "red"),
        ("\x1b(Bx", "x"),
        ("a\x00b\x7fc", "abc"),
        ("a\tb\r\nc", "a    b\nc"),
        ("10%\r20%", "10% 20%"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("a\u200bb\ufeff", "ab"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("naïve 模型 🚀", "naïve 模型 🚀"),
    ],
)
def test_escapes_and_controls_go_and_text_stays(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=512",
        "prompt_tokens: 33",
        "token_usage: 0.52",
        "tokenizer=meta-llama/Llama-3",
        "num_tokens: 4096",
        "time_to_first_token=0.3",
        "first token: 12ms",
        "eos_token='<|endoftext|>'",
        "token_id: 5",
        '{"token": " the", "logprob": -0.1}',
        "Avg generation throughput: 45.1 tokens/s",
        "token: 12.5 ms",
        "unexpected token: 'foo'",
        "basic configuration done",
        "bearer authentication enabled",
        "Access denied for user 'x' (using password: YES)",
        "token: expired",
        "pwd=/home/x",
        'secret "model-secret" not found',
        "secretName: my-tls",
        "GET /predict?x=1 HTTP/1.1",
        "cache_key=abcdef",
        "kv_cache_usage_perc: 0.4",
        "pod sk-model-deployment-6b7f9c8d5-abcde is ready",
        "http://10.0.0.1:8000/a@b",
        "monkey: banana",
        "features ['token', 'amount']",
        "password",
    ],
)
def test_ordinary_log_text_survives(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefgh", "abcdefgh"),
        ("{'Authorization': 'Basic dXNlcjpwdw=='}", "dXNlcjpwdw"),
        ("(b'authorization', b'Bearer abc')", "abc'"),
        ("Basic dXNlcjpwdw==", "dXNlcjpwdw"),
        ("sent Bearer abc123def", "abc123def"),
        ("api_key=xyz", "xyz"),
        ("x-api-key: xyz", "xyz"),
        ("api_key=['xyz']", "xyz"),
        ("--api-key s3cr3t --port 1", "s3cr3t"),
        ("password: hunter2", "hunter2"),
        ('{"password": "two words \\" quoted"}', "quoted"),
        ("PGPASSWORD=hunter2 psql", "hunter2"),
        ("token=abcdef123", "abcdef123"),
        ('{"access_token": "supersecret"}', "supersecret"),
        ("client_secret: supersecretvalue", "supersecretvalue"),
        ("tokens=api_key=hunter2", "hunter2"),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "K7MDENG"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("https://user:pw@host/x", ":pw@"),
        ("https://user:p@ss@host/x", "ss@"),
        ("redis://:hunter2@h:6379", "hunter2"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "eyJzdWI"),
        ("hf_" + "a" * 34, "aaaa"),
        ("ghp_" + "a" * 36, "aaaa"),
        ("sk-proj-" + "aB3" * 10, "aB3"),
        ("Cookie: a=1; session=hunter2", "hunter2"),
        ("https://s3/x?X-Amz-Signature=0123456789abcdef0123456789abcdef", "0123456789abcdef"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("pass\x1b[0mword: hunter2", "hunter2"),
        ("pass\u200bword: hunter2", "hunter2"),
    ],
)
def test_secrets_are_redacted(text: str, secret: str) -> None:
    shown = clean(text)
    assert secret not in shown
    assert MARK in shown


def test_the_words_around_a_secret_stay() -> None:
    assert redact("login user=bob password=hunter2 from 10.0.0.1") == f"login user=bob password={MARK} from 10.0.0.1"
    assert redact('{"token": "abcdefgh1", "n": 3}') == '{"token": "' + MARK + '", "n": 3}'


@pytest.mark.parametrize(
    "piece",
    ["\x1b", "\x1b]", "\x1b[0", "\x9d", '"password', "password=", "token=", "token=1 ", "eyJ", "-eyJ", "a.a", "://a:",
     "a@", "sk-", "bearer ", "basic a", "-----BEGIN PRIVATE KEY-----", "cookie=", "secret'\"", "\r", "api_key: '", "_",
     "sig=\\"],
)  # fmt: skip
def test_a_megabyte_of_hostile_repetition_ends(piece: str) -> None:
    # A pattern of quadratic cost would take hours here and meet pytest's time limit.
    text = clean(piece * (1_000_000 // len(piece)))
    assert "\x1b" not in text


def test_one_line_is_cut_with_an_ellipsis() -> None:
    assert one_line("a\n b\tc") == "a b c"
    assert one_line("x" * 500, 10) == "x" * 9 + "…"
