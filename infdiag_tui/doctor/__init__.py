"""`infdiag doctor`: what can be reached with which permissions, what is missing, and the exact remedy."""
