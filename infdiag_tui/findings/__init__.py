"""What the observations say against thresholds: pure functions from a snapshot to evidence."""

from infdiag_tui.findings.assess import assess
from infdiag_tui.findings.assessor import Assessor

__all__ = ["Assessor", "assess"]
