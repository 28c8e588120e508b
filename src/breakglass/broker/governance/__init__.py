"""What rules the rest: the beginning of a log, trust, policy, and stops."""
