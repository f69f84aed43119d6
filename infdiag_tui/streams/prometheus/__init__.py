"""Prometheus-compatible servers: asking them, and what they know of a model and its GPUs."""
