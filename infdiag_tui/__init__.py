"""infdiag: a terminal console for triaging production ML inference incidents."""

__version__ = "0.1.0"
