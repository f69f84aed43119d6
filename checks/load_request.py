"""What the load generator has to know, from the config's endpoint (blocking: reads the body's file)."""

from __future__ import annotations

import base64

from checks.base import CheckError
from checks.load_gen.job import Setup
from infdiag_tui.config import Endpoint
from infdiag_tui.config.request import RequestError, read_request


def load_setup(endpoint: Endpoint, user_agent: str, *, keep_alive: bool) -> Setup:
    """The request that the latency probe sends, for the generator's process.

    Raises:
        CheckError: the endpoint or a file that it names cannot be used.
    """
    try:
        request = read_request(endpoint, user_agent)
    except RequestError as error:
        raise CheckError(f"{error.reason}: {error.remedy}.") from error
    return Setup(
        url=request.url,
        method=request.method,
        headers=request.headers,
        body=None if request.body is None else base64.b64encode(request.body).decode(),
        protocol=endpoint.protocol.value,
        timeout_s=endpoint.timeout_s,
        keep_alive=keep_alive,
        ca_file=None if endpoint.ca_file is None else str(endpoint.ca_file.expanduser()),
        verify_tls=endpoint.verify_tls,
        proxy=request.proxy,
    )
