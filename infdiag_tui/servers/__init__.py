"""What model servers tell of themselves: metrics text, the known servers' metrics as data, conventions for the others.

Knows nothing of the rest but the vocabulary: streams and checks both read servers by it.
"""
