"""How processes speak: HTTP to neighbours, a folder's settings, one writer's outbox, a follower.

Knows notes and bytes, never kinds of records.
"""
