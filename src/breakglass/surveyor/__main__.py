"""``python -m breakglass.surveyor FOLDER``."""

import sys

from breakglass.process.serving import process_main
from breakglass.surveyor.app import build

if __name__ == "__main__":
    sys.exit(process_main(sys.argv[1:], build, "surveyor"))
