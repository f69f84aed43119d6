"""`python -m infdiag_tui.lab SCENARIO --config-out FILE`."""

from __future__ import annotations

import sys

from infdiag_tui.lab.main import main

if __name__ == "__main__":
    sys.exit(main())
