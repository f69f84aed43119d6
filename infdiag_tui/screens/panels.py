"""The six panels of the console and the sources that each of them draws."""

from __future__ import annotations

from dataclasses import dataclass

from widgets.findings import FindingsPanel
from widgets.gpu_panel import GpuPanel
from widgets.latency_panel import LatencyPanel
from widgets.logs_panel import LogsPanel
from widgets.panel import Panel
from widgets.pods_panel import PodsPanel
from widgets.report_editor import ReportPanel, SendEdit

SOURCES = {
    "gpu": ("gpu*",),
    "pods": ("pods*",),
    "logs": ("logs*",),
    "latency": ("latency*",),
    "findings": ("engine",),
    "report": ("engine",),
}
"""Names of sources by panel; `*` stands for however many there are of a kind."""


@dataclass(frozen=True, slots=True)
class Panels:
    """One of each."""

    gpu: GpuPanel
    pods: PodsPanel
    logs: LogsPanel
    latency: LatencyPanel
    findings: FindingsPanel
    report: ReportPanel

    def by_id(self) -> dict[str, Panel]:
        """The panels by the ids of `actions.PANELS`."""
        return {
            "gpu": self.gpu,
            "findings": self.findings,
            "pods": self.pods,
            "latency": self.latency,
            "report": self.report,
            "logs": self.logs,
        }


def build_panels(send_edit: SendEdit, *, ascii_only: bool) -> Panels:
    """New panels, not yet mounted.

    Args:
        send_edit: hands the operator's report text to the engine.
        ascii_only: draw with ASCII signs.
    """
    return Panels(
        gpu=GpuPanel(sources=SOURCES["gpu"], id="gpu", ascii_only=ascii_only),
        pods=PodsPanel(sources=SOURCES["pods"], id="pods", ascii_only=ascii_only),
        logs=LogsPanel(sources=SOURCES["logs"], id="logs", ascii_only=ascii_only),
        latency=LatencyPanel(sources=SOURCES["latency"], id="latency", ascii_only=ascii_only),
        findings=FindingsPanel(sources=SOURCES["findings"], id="findings", ascii_only=ascii_only),
        report=ReportPanel(send_edit, sources=SOURCES["report"], id="report", ascii_only=ascii_only),
    )
