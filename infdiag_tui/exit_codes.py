"""What the command's exit code means."""

OK = 0
"""Nothing wrong found."""
PROBLEM_FOUND = 1
USAGE = 2
"""Wrong usage or config."""
UNREACHABLE = 3
"""A target could not be reached."""
INTERRUPTED = 130
DEFECT = 70
"""infdiag itself broke (EX_SOFTWARE of sysexits.h): neither 0 nor 1, which say something about the model."""
