"""``python -m breakglass.cli`` is ``breakglass``."""

from breakglass.cli.start import main

main()
