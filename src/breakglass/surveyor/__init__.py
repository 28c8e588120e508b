"""The surveyor: reads what privileged access stands at one target, mints nothing, counts aloud."""
