"""What infdiag costs: start-up, CPU, bytes to the terminal, memory. `make bench` runs all of it."""
