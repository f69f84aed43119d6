"""What an operator runs on demand: checks of the diagnostic protocol, without a screen."""
