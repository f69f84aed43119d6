"""A real model server that computes with NumPy; it runs as a process of its own and knows nothing of the lab."""
