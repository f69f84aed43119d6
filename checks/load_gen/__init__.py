"""The load generator: a process of its own that sends what it is told over a pipe and answers with figures."""
