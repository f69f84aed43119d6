"""Statistics of checks and findings: pure functions over NumPy arrays, each with the source of its formula."""
