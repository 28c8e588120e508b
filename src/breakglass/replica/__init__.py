"""A proven copy of a log: every entry followed in order, kept in a cache that may be deleted."""
