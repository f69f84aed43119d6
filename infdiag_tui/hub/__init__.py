"""One place where all that is observed arrives: bounded ring buffers, exact counters, subscriptions."""
