"""The embedded incident lab: real model servers behind a simulated cluster and GPUs, all on loopback.

Nothing of the product but the command line knows it. Importing this package is cheap.
"""

from infdiag_tui.lab.handle import Lab, LabError, ReplicaState, running
from infdiag_tui.lab.scenarios import scenarios

__all__ = ["Lab", "LabError", "ReplicaState", "running", "scenarios"]
