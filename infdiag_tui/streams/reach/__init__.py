"""Ways to a model server that has no direct one: through the API server's proxy, a port-forward, an SSH host."""
