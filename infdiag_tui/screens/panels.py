"""The six panels of the console."""

from __future__ import annotations

from dataclasses import dataclass

from widgets.findings import FindingsPanel
from widgets.gpu_panel import GpuPanel
from widgets.latency_panel import LatencyPanel
from widgets.logs_panel import LogsPanel
from widgets.panel import Panel
from widgets.pods_panel import PodsPanel
from widgets.report_editor import ReportPanel, SendEdit


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
        gpu=GpuPanel(id="gpu", ascii_only=ascii_only),
        pods=PodsPanel(sources=("pods*",), id="pods", ascii_only=ascii_only),
        logs=LogsPanel(sources=("logs*", "pod-logs*"), id="logs", ascii_only=ascii_only),
        latency=LatencyPanel("Latency", sources=("latency*",), id="latency", ascii_only=ascii_only),
        findings=FindingsPanel(id="findings", ascii_only=ascii_only),
        report=ReportPanel(send_edit, id="report", ascii_only=ascii_only),
    )
