"""The ledger: orders notes that others signed, has its heads witnessed, and proves each entry.

Blind to content; it can refuse, and cannot invent.
"""
