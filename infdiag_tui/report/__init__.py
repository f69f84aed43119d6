"""The report draft: slots that fill themselves, text that is the operator's, a file that is always whole."""

from infdiag_tui.report.draft import Draft
from infdiag_tui.report.slots import slot_values
from infdiag_tui.report.writer import DraftFile, write_atomically

__all__ = ["Draft", "DraftFile", "slot_values", "write_atomically"]
