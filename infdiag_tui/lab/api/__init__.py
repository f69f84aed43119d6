"""A Kubernetes API over HTTP that the official client and kubectl accept, backed by the lab's own store."""
