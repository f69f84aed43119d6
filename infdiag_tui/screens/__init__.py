"""What the operator sees as a whole: the triage screen and the help over it."""
