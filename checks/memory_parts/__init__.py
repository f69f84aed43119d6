"""The parts of the memory check: sources of series, and their judgement."""
