"""The lab's model server as a config's endpoint behind the cluster's API, and what is asked of it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from checks.base import Answer
from infdiag_tui.check_ports import EndpointSender, open_sender
from infdiag_tui.config import ModelConfig
from infdiag_tui.lab import Lab
from infdiag_tui.model import Observation, Reply
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.latency import LatencyStream
from infdiag_tui.streams.reach.open import reach_for


def known_good(lab: Lab) -> dict[str, Any]:
    """The model's section of the lab's own config."""
    (model,) = tomllib.loads(lab.config_path.read_text())["models"].values()
    return cast("dict[str, Any]", model)


def service_url(lab: Lab, path: str | None = None, *, name: str = "") -> str:
    """The predict call behind the cluster's service."""
    parts = urlsplit(lab.endpoint_url)
    return f"k8s://{lab.namespace}/{name or lab.selector.partition('=')[2]}:{parts.port}{path or parts.path}"


async def pod_url(lab: Lab, index: int = 0, path: str | None = None, *, port: int | None = None) -> str:
    """The same of one replica."""
    pod = sorted(await lab.replicas(), key=lambda one: one.name)[index]
    where = port or urlsplit(pod.url).port
    return f"k8s://{lab.namespace}/pod/{pod.name}:{where}{path or urlsplit(lab.endpoint_url).path}"


def model_at(lab: Lab, url: str, **endpoint: Any) -> ModelConfig:
    """A config with this endpoint, reached with the lab's kubeconfig."""
    own = known_good(lab)
    values = {"url": url, "body": own["endpoint"]["body"], "rate_per_s": 20.0, **endpoint}
    return ModelConfig.model_validate({"endpoint": values, "kubernetes": own["kubernetes"]})


@asynccontextmanager
async def sender_to(model: ModelConfig) -> AsyncIterator[EndpointSender]:
    """A check's sender by the model's way."""
    assert model.endpoint is not None
    reach = reach_for(model, StreamContext())
    async with open_sender(model.endpoint, "infdiag-test", reach=reach) as sender:
        yield sender


async def predict(model: ModelConfig) -> Answer:
    """One answer to the known-good input."""
    assert model.endpoint is not None
    async with sender_to(model) as sender:
        return await sender.predict(model.endpoint.body)


async def observed(model: ModelConfig, enough: Callable[[list[Observation]], object]) -> list[Observation]:
    """What the latency probe tells until that is enough."""
    assert model.endpoint is not None
    context = StreamContext()
    stream = LatencyStream(model.endpoint, context, reach_for(model, context))
    told: list[Observation] = []
    async with asyncio.timeout(20), aclosing(cast("Any", stream.observe())) as observations:
        async for observation in observations:
            told.append(observation)
            if enough(told):
                break
    return told


def replies(told: list[Observation]) -> list[Reply]:
    """Only the replies."""
    return [one for one in told if isinstance(one, Reply)]
