"""`python -m infdiag_tui` is `infdiag`."""

import sys

from infdiag_tui.cli import main

sys.exit(main())
