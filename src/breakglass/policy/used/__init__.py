"""What grants used of what they were granted, by the target's own log; and a narrower glass."""
