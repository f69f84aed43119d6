"""How infdiag speaks with a Kubernetes API server: config, credentials, raw requests, watches and followed logs."""
