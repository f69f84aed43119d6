"""Logs from Loki: asking it, and following what it has without loss or repetition."""
