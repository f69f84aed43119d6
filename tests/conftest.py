"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure: how fast things are is measured in benchmarks/.
settings.register_profile("infdiag", deadline=None)
settings.load_profile("infdiag")
