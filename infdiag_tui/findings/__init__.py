"""What the observations say against thresholds: pure functions from a snapshot to evidence."""

from infdiag_tui.findings.assess import assess

__all__ = ["assess"]
