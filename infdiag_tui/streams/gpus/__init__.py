"""GPUs that are somewhere else: the ways to their figures, and the choice among those that work."""
