"""``python -m breakglass.sshd`` is ``breakglass-sshd``."""

import sys

from breakglass.sshd.main import main

sys.exit(main())
