"""One description of the request for the probe and the load generator: what a real server gets from either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks.base import CheckError
from checks.load_gen.child import Generator
from checks.load_gen.job import Phase
from checks.load_request import load_setup
from infdiag_tui.config import Endpoint, Protocol
from infdiag_tui.config.request import RequestError, read_request
from tests.checks.load_servers import Model, serving
from tests.streams.latency_servers import probe, replies_of

CHOICES = {"choices": [{"text": "yes", "finish_reason": "stop"}]}
OF_THE_CLIENT = {"Host", "User-Agent", "Connection", "Content-Length"}


@pytest.mark.parametrize(
    ("settings", "reply"),
    [
        ({"body": {"x": [1.5, 2]}, "headers": {"x-team": " fraud ", "accept": "application/json"}}, {}),
        ({"body": {"prompt": "hi"}, "protocol": Protocol.OPENAI, "model": "m"}, CHOICES),
        ({"body": None}, {}),
        ({"body": [1], "method": "put"}, {}),
    ],
)
async def test_the_load_generator_sends_what_the_probe_sends(settings: dict[str, Any], reply: dict[str, Any]) -> None:
    model = Model(reply=reply)
    async with serving(model) as plain_url:
        url = plain_url.replace("http://", "http://user:p%40ss@")
        (answer,) = (await replies_of(probe(url, **settings), 1))[:1]
        probed = model.requests[0]
        async with Generator(load_setup(Endpoint(url=url, **settings), "load", keep_alive=True)) as generator:
            await generator.phase(Phase("load", 1, 1, 20.0), lambda *_: None)
        loaded = model.requests[-1]

    assert answer.ok, answer.error_text
    assert loaded[0] == probed[0]
    assert loaded[2] == probed[2]
    first, second = (
        {name.lower(): value for name, value in one[1].items() if name not in OF_THE_CLIENT} for one in (probed, loaded)
    )
    assert second == first
    assert first["authorization"] == "Basic dXNlcjpwQHNz"


async def test_what_cannot_be_sent_is_refused_alike_with_a_remedy(tmp_path: Path) -> None:
    endpoint = Endpoint(url="http://127.0.0.1:1/", body_file=tmp_path / "none.json")

    with pytest.raises(RequestError) as refused:
        read_request(endpoint, "test")
    with pytest.raises(CheckError, match=r"cannot be read: No such file or directory: create the file"):
        load_setup(endpoint, "test", keep_alive=True)

    assert "create the file" in refused.value.remedy


async def test_the_generator_refuses_an_authority_file_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    endpoint = Endpoint(url="https://127.0.0.1:1/", body=1, ca_file=tmp_path / "ca.pem")

    async with Generator(load_setup(endpoint, "test", keep_alive=True)) as generator:
        with pytest.raises(CheckError, match=r"endpoint.ca_file .* cannot be used: .* name a PEM file"):
            await generator.phase(Phase("load", 1, 1, 20.0), lambda *_: None)
