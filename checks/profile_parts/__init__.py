"""The profile check on our side: starting the child, judging what it measured, py-spy, servers' endpoints."""
