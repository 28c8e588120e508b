"""``python -m breakglass.demo`` is ``breakglass demo``."""

import sys

from breakglass.demo import play

if __name__ == "__main__":
    sys.exit(play(keep="--keep" in sys.argv[1:]))
