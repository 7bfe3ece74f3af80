"""`python -m runstart.operators PATH/run.py`: runs an operator, as a session has told it to, or by hand."""

from __future__ import annotations

import sys

from runstart.operators.running import main

sys.exit(main())
