"""What is known about failures, as data: symptoms now; causes, signatures and guidance beside them."""

from infdiag_tui.knowledge.symptoms import SYMPTOMS, Symptom

__all__ = ["SYMPTOMS", "Symptom"]
