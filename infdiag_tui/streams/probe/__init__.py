"""The parts of the latency probe: pacing, the wire with its phases, the protocols spoken over it, and its failures."""
