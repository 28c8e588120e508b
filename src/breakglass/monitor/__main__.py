"""``python -m breakglass.monitor FOLDER``."""

import sys

from breakglass.monitor.app import build
from breakglass.process.serving import process_main

if __name__ == "__main__":
    sys.exit(process_main(sys.argv[1:], build, "monitor"))
