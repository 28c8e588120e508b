"""``python -m breakglass.cli`` is ``breakglass``."""

import sys

from breakglass.cli.start import main

sys.exit(main())
