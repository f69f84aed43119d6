"""Pictures of the running console, made by `make screenshots`."""
