"""What the observations say against thresholds: pure functions from a snapshot to evidence."""

from infdiag_tui.findings.assess import assess, severity_of

__all__ = ["assess", "severity_of"]
