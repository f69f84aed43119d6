"""Documents, and the program that makes those of them that are made."""
