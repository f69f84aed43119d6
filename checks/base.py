"""The contract of a check: parameters, what it needs, what it will do, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import CheckChart, CheckStatus, Evidence, Impact, Progress, Snapshot

NO_LOAD_BY_PROXY = (
    "Load through the API server's proxy would be load on the API server, which everybody shares. Set endpoint.via = "
    '"port-forward" or "ssh", or run the check on a machine that reaches the model server directly.'
)
KNOWN_GOOD = "endpoint.body or endpoint.body_file in the config, or --body-file"

BESIDE = "beside"
"""What a parameter's `needs` extra says when it runs a command beside the model: in its container, or on its host."""
CONTAINER = "container"
"""The same when only a container will do."""


Glob = Annotated[str, "a pattern for files on this machine"]
"""A parameter's text that names files of this machine, such as `/model/*.onnx`; in the config, as a `Path`, relative to
the file's folder."""


class Params(BaseModel):
    """Base of every check's parameters.

    A field's description becomes the flag's help, the form's label and the config's documentation. A field whose
    `json_schema_extra` has `flags` (`["-n"]`) gets these on the command line as well; one whose extra has `needs`
    (`BESIDE` or `CONTAINER`) is greyed in the form while there is no such way.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckError(Exception):
    """A check cannot finish: one sentence on what happened, where, and what to try.

    `unreachable` is True when a target could not be reached.
    """

    def __init__(self, sentence: str, *, unreachable: bool = False) -> None:
        super().__init__(sentence)
        self.unreachable = unreachable


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: `summary` in one sentence, `result` JSON-able, artifacts as paths, charts for the eyes."""

    status: CheckStatus
    summary: str
    evidence: tuple[Evidence, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[Path, ...] = ()
    charts: tuple[CheckChart, ...] = ()


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of the model: its name (a pod, or the URL's host) and the base URL that reaches it alone."""

    name: str
    url: str
    digest: str = ""
    """The image's digest, where the cluster tells it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request of a check met. `body` is the reply's parsed JSON, None when it is none.

    `total_ms` leaves out what a tunnel to the server added (`tunnel_ms`, None without one or while that is not known).
    """

    ok: bool
    status: int | None
    body: Any
    text: str
    total_ms: float
    error: str = ""
    model_version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    tunnel_ms: float | None = None


class Sender(Protocol):
    """Speaks to the model server as the latency probe does: protocol, headers, TLS and proxy of the config's endpoint.

    Implemented by the composer. Failures are answers that are not `ok`, with a sentence; it never raises for them.
    """

    async def predict(self, body: Any, *, base_url: str = "", timeout_s: float | None = None) -> Answer:
        """Posts an input to the predict call; `base_url` (scheme, host, port) sends it to one replica instead."""
        ...

    async def get(self, url: str, *, timeout_s: float | None = None, limit_bytes: int = 8_000_000) -> Answer:
        """Fetches any URL of the model server; the text is cut off at `limit_bytes`."""
        ...


@runtime_checkable
class Poster(Protocol):
    """What a sender can do besides: reach an endpoint of the server that acts (switches its profiler on, say)."""

    async def predict(self, body: Any, *, base_url: str = "", timeout_s: float | None = None) -> Answer:
        """As `Sender.predict`."""
        ...

    async def post(self, url: str, *, body: Any = None, timeout_s: float | None = None) -> Answer:
        """Posts to any URL of the model server: `body` as JSON, nothing for None; never raises for failures."""
        ...


@runtime_checkable
class Forwarder(Protocol):
    """What a sender can do besides: lead another process to the endpoint's server."""

    def listening(self) -> AbstractAsyncContextManager[str]:
        """`HOST:PORT` on this machine that leads to it while the context lasts; empty where the direct way does.

        Raises:
            CheckError: the way to the server carries no other process's connections.
        """
        ...


class Remote(Protocol):
    """Runs a command beside the model. Implemented by the composer; a check only asks, and only with consent."""

    @property
    def kind(self) -> Literal["container", "host"]:
        """A container of one of the model's pods, or the host of a server that is no pod."""
        ...

    @property
    def place(self) -> str:
        """What it is called: `container server of pod scorer-1 (namespace ml)`."""
        ...

    @property
    def where(self) -> str:
        """The same with its preposition."""
        ...

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Exit code, standard output and the end of standard error.

        A program that is not there is exit code 127, as in a shell. The command may never see the end of `stdin`: tell
        it the length. When this is cancelled or fails, what it started there is ended where that is possible.

        Raises:
            CheckError: forbidden, no such container, no way there, too much output, or it took too long.
        """
        ...


@dataclass(slots=True)
class CheckContext:
    """What a check is given besides its parameters.

    `folder` exists and takes artifacts. `report` may be called from the event loop at any time. `confirmed`: the
    operator agreed to what `announce` says. `replicas` are the model's replicas where the cluster names them, else
    empty. `sender` is None without an endpoint, `remote` without a way beside the model, and then `no_remote` says why
    in a sentence. `baseline` is the file in which what healthy looks like is kept.
    """

    model_name: str
    model: ModelConfig
    folder: Path
    now: Callable[[], float]
    report: Callable[[Progress], None]
    confirmed: bool = False
    replicas: tuple[Replica, ...] = ()
    sender: Sender | None = None
    remote: Remote | None = None
    no_remote: str = "There is no way into the model's container: set kubernetes.selector in the config."
    baseline: Path | None = None
    user_agent: str = "infdiag"
    snapshot: Snapshot | None = None
    """The incident as observed so far; None where nothing was watched."""


def no_way(context: CheckContext, need: str = BESIDE) -> str:
    """Why what needs a way beside the model (`BESIDE`, `CONTAINER`) cannot be done, in a sentence; empty: it can."""
    if context.remote is None:
        return context.no_remote
    if need == CONTAINER and context.remote.kind != "container":
        return f"This reads what a container accounts for itself, and commands run {context.remote.where} instead."
    return ""


def place_of(context: CheckContext) -> str:
    """Where commands beside the model run, with the preposition."""
    return context.remote.where if context.remote is not None else "in the model's container"


P = TypeVar("P", bound=Params)


class Check(Generic[P]):
    """One check of the protocol. Subclasses set the class variables and implement `run`.

    Attributes:
        name: as typed: `infdiag check NAME`.
        title: a short title.
        step: the step of the diagnostic protocol (1 to 5), or 0 for a companion.
        impact: what it does to production.
        symptoms: the symptoms that it is offered for first.
        params: its parameters' model.
        needs_snapshot: it looks at the incident as observed; without a console the sources are watched for it first.
        asked_for: only an operator starts it: it keeps something beyond the incident.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    step: ClassVar[int]
    impact: ClassVar[Impact] = Impact.READ_ONLY
    symptoms: ClassVar[tuple[str, ...]] = ()
    params: ClassVar[type[Params]]
    needs_snapshot: ClassVar[bool] = False
    asked_for: ClassVar[bool] = False

    def missing(self, params: P, context: CheckContext) -> str:
        """Which input is missing and which config key or flag gives it; empty when it can run."""
        del params, context
        return ""

    def impact_of(self, params: P) -> Impact:
        """What it does to production with these parameters; never more than `impact`."""
        del params
        return self.impact

    def announce(self, params: P, context: CheckContext) -> str:
        """What it is about to do, for the operator to agree to; needed unless it is read-only."""
        del params, context
        return self.title

    async def run(self, params: P, context: CheckContext) -> Outcome:
        """Runs it. Cancelling must leave no process, task, connection or file in other places behind.

        Raises:
            CheckError: it cannot finish.
        """
        raise NotImplementedError
