"""Statistics of the checks: pure functions over NumPy arrays, each with the source of its formula."""
