"""The means by which the stages check splits a request, one module each."""
