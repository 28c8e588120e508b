"""The monitor: follows the ledger, rings, counts, decides again, and holds the reviews."""
