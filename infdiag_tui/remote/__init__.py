"""Runs a check's command beside the model: in a container of one of its pods, or over SSH on its host."""
