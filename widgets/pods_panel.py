"""The model's pods: what is wrong with which replica, and the newest warnings about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from infdiag_tui.model import ClusterEvent, Pod, SeriesKey, Snapshot, SourceState
from widgets import units
from widgets.canvas import LineCanvas
from widgets.chart import ChartSpec, render_chart, span_with_history
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, line, muted, toned, wrap
from widgets.panel import Panel
from widgets.pins import pod_pin
from widgets.pod_rows import (
    COLUMNS,
    cpu_figures,
    heading,
    image_name,
    last_end,
    memory_words,
    order,
    row,
    visible_columns,
)
from widgets.verdicts import Verdicts

_CHART_SPAN_S = 900.0
"""Memory leaks show over minutes: the chart of the selected pod covers a quarter of an hour."""
_CHART_ROWS = 6


def event_lines(events_: Sequence[ClusterEvent], now: float, most: int, glyphs: Glyphs) -> list[Line]:
    """The newest warnings, newest first: age, reason, object, message, and how often."""
    warnings = [event for event in events_ if event.type != "Normal"]
    warnings.sort(key=lambda event: -(event.last_at or event.at))
    lines: list[Line] = []
    for event in warnings[: max(0, most - 1)]:
        age = units.age(now - (event.last_at or event.at))
        often = f" ({event.count:,}{glyphs.times})" if event.count > 1 else ""
        lines.append(
            line(
                Span(f"{glyphs.warning} {age + ' ago':<8} ", Tone.WARN),
                Span(event.reason + often, Tone.WARN),
                Span(f" {event.name}: ", Tone.DIM),
                event.message,
            ),
        )
    if not lines:
        return [line(Span("No warning events about these pods.", Tone.DIM))] if most >= 2 else []
    title = f"Warning events, newest of {len(warnings)}"
    return [line(Span(title, Tone.HEAD)), *lines]


def detail_lines(pod: Pod, snapshot: Snapshot, now: float, width: int, glyphs: Glyphs) -> list[Line]:
    """What the row of the selected pod has no room for."""
    usage = snapshot.usage.get(pod.key)
    facts = [
        ("last end", last_end(pod.last_termination, now)),
        ("memory", memory_words(pod, usage, now)),
        ("CPU", f"{cpu_figures(pod, usage)} cores"),
        ("node", pod.node or "none"),
        ("age", units.age(None if pod.created_at is None else now - pod.created_at)),
        ("image", image_name(pod, 40, glyphs)),
    ]
    words = [f"{label} {text}".strip() for label, text in facts]
    wrong = [pod.message, *(f"{kind}: {why}" for kind, why in pod.conditions.items())]
    wrong += [container.state_message for container in pod.containers if container.state_message]
    lines = [line(Span("  " + text, Tone.DIM)) for text in wrap(f" {glyphs.dot} ".join(words), width - 2)]
    for text in wrong:
        lines += [line(Span("  " + piece, Tone.WARN)) for piece in wrap(text[:400], width - 2)[:3]]
    return [line(Span(pod.key, Tone.HEAD)), *lines]


class PodTable(LineCanvas):
    """The rows of pods; the selection stays on its pod however rows are sorted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,g", "first", "First pod", show=False),
        Binding("end,G", "last", "Last pod", show=False),
        Binding("enter", "choose", "Choose pod", show=False),
    ]

    class Selected(Message):
        """Another pod is selected."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Chosen(Message):
        """The operator asks for more about a pod (its logs)."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__(classes="pods--table")
        self._keys: tuple[str, ...] = ()
        self._key = ""

    @property
    def selected_key(self) -> str:
        """`namespace/name` of the selected pod, empty while there is none."""
        return self._key if self._key in self._keys else ""

    def show_pods(self, keys: Sequence[str], lines: Sequence[Line]) -> None:
        """Shows one line per pod below the first, which is the heading."""
        if self._key not in keys and keys:
            # The pod is gone: the one now in its place is selected.
            place = self._keys.index(self._key) if self._key in self._keys else 0
            self._key = keys[min(place, len(keys) - 1)]
        self._keys = tuple(keys)
        cursor = self._keys.index(self._key) + 1 if self._key in self._keys else None
        self.show(lines, cursor=cursor)

    def select(self, key: str) -> None:
        """Puts the selection on a pod that is shown."""
        if key in self._keys and key != self._key:
            self._key = key
            self.show(self.lines, cursor=self._keys.index(key) + 1)
            self.post_message(self.Selected(key))
        if key in self._keys:
            place = self._keys.index(key)
            self.reveal(0 if place == 0 else place + 1)

    def _move(self, by: int) -> None:
        if self._keys:
            place = self._keys.index(self._key) if self._key in self._keys else 0
            self.select(self._keys[min(len(self._keys) - 1, max(0, place + by))])

    def action_line_up(self) -> None:
        """The pod above."""
        self._move(-1)

    def action_line_down(self) -> None:
        """The pod below."""
        self._move(1)

    def action_page_up(self) -> None:
        """A page up."""
        self._move(-max(1, self.room.height - 2))

    def action_page_down(self) -> None:
        """A page down."""
        self._move(max(1, self.room.height - 2))

    def action_first(self) -> None:
        """The first pod."""
        self._move(-len(self._keys))

    def action_last(self) -> None:
        """The last pod."""
        self._move(len(self._keys))

    def action_choose(self) -> None:
        """More about the selected pod."""
        if self.selected_key:
            self.post_message(self.Chosen(self.selected_key))

    def on_click(self, event: events.Click) -> None:
        """Selects the pod under the pointer."""
        place = event.get_content_offset_capture(self).y + self.scroll_offset.y - 1
        if 0 <= place < len(self._keys):
            self.select(self._keys[place])


class PodsPanel(Panel):
    """A table of pods, details and memory chart of the selected one, and warning events."""

    HELP = """\
# Pods

The model's pods, those with problems first. `↑` `↓` select one; `Enter` shows its log lines.

- **LAST END** is how a container last ended. `OOMKilled 137`: the kernel ended it for going over its memory limit.
- **MEMORY / LIMIT** comes from metrics-server, which measures a few times a minute; old figures carry their age.
  `n/a` means that nothing was measured, not zero; `no limit` that the pod may take what the node has.
- **IMAGE** is the start of the image digest: replicas that differ here run different builds.

Below stand the newest warning events about these pods.
"""
    DEFAULT_CSS = """
    PodsPanel {
        & > .pods--below { height: 0; }
    }
    """

    def __init__(
        self,
        title: str = "Pods",
        *,
        sources: tuple[str, ...],
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__(title, sources=sources, id=id, ascii_only=ascii_only)
        self.table = PodTable()
        self.below = LineCanvas(classes="pods--below")
        self.below.can_focus = False
        self._picture: tuple[Snapshot, float] | None = None

    def compose_body(self) -> Iterable[Widget]:
        """The table, and what there is room for below it."""
        return (self.table, self.below)

    @property
    def selected_key(self) -> str:
        """`namespace/name` of the selected pod, empty while there is none."""
        return self.table.selected_key

    def pin_of(self, snapshot: Snapshot) -> str:
        """The selected pod."""
        selected = next((pod for pod in snapshot.pods if pod.key == self.table.selected_key), None)
        return pod_pin(snapshot, selected) if selected is not None else ""

    def draw_body(self, snapshot: Snapshot, now: float) -> None:
        """Shows the snapshot's pods."""
        now = snapshot.wall(now)  # every time in here is the cluster's
        self._picture = (snapshot, now)
        width = self.table.room.width
        if width <= 0:
            return
        if not snapshot.pods:
            self._draw_empty(width)
            return
        verdicts = Verdicts(snapshot.evidence)
        pods = order(snapshot.pods, verdicts)
        rows = [row(pod, snapshot, now, width, verdicts, self.glyphs) for pod in pods]
        trusted = self.panel_state.trusted
        self.table.show_pods([pod.key for pod in pods], [heading(width), *(rows if trusted else muted(rows))])
        self._draw_below(snapshot, now, pods)

    def on_pod_table_selected(self) -> None:
        """Details follow the selection."""
        if self._picture is not None:
            snapshot, now = self._picture
            self._draw_below(snapshot, now, order(snapshot.pods, Verdicts(snapshot.evidence)))

    def _draw_empty(self, width: int) -> None:
        words = {
            SourceState.OFF: "No cluster is configured.",
            SourceState.STARTING: "Waiting for the first list of pods.",
            SourceState.LIVE: "No pod matches the selector.",
        }.get(self.panel_state.state, "No pod was ever listed.")
        self.table.show_pods([], [toned(text, Tone.DIM) for text in wrap(words, width)])
        self._resize_below(0)

    def _draw_below(self, snapshot: Snapshot, now: float, pods: Sequence[Pod]) -> None:
        """Events, then details of the selected pod, then its memory over time, as far as rows are left."""
        width = self.table.room.width
        total = self.table.room.height + self.below.outer_size.height
        free = total - (len(pods) + 1)
        if len(pods) + 1 > total // 2:
            free = max(free, total // 3 if total >= 8 else 0)
        selected = next((pod for pod in pods if pod.key == self.table.selected_key), None)
        lines = event_lines(snapshot.events, now, min(6, max(0, free)), self.glyphs) if free >= 1 else []
        if selected is not None:
            details = detail_lines(selected, snapshot, now, width, self.glyphs)
            charted = SeriesKey("pod.memory_bytes", selected.key) in snapshot.series
            room = free - len(lines)
            if len(visible_columns(width)[0]) < len(COLUMNS):
                kept = details if len(details) + charted * _CHART_ROWS <= room else details[:2]
                lines = [*kept, *lines] if len(kept) <= room else lines
            # Of what is drawn here only the chart's times are this machine's.
            lines += self._chart(selected, snapshot, snapshot.steady(now), width, free - len(lines))
        lines = lines[: max(0, free)]
        self._resize_below(len(lines))
        self.below.show(lines if self.panel_state.trusted else muted(lines))

    def _chart(self, pod: Pod, snapshot: Snapshot, now: float, width: int, room: int) -> list[Line]:
        points = snapshot.series.get(SeriesKey("pod.memory_bytes", pod.key))
        if points is None or room < _CHART_ROWS:
            return []
        limit = pod.memory_limit_bytes
        spec = ChartSpec(
            f"memory of {pod.name}",
            span_with_history(points, now, _CHART_SPAN_S),
            now,
            text=units.short_bytes,
            base=1024,
            limit=None if limit is None else float(limit),
            ascii_only=self.glyphs.ascii_only,
        )
        return render_chart(points, spec, width, min(room, 10))

    def _resize_below(self, height: int) -> None:
        if self.below.styles.height is None or self.below.styles.height.value != height:
            self.below.styles.height = height
