"""``python -m breakglass.gate`` is ``breakglass-gate``."""

import sys

from breakglass.gate.main import main

sys.exit(main())
