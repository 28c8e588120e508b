"""The texts that may stand in records, as types."""
