"""A gate: shut unless its check passes or it is shown a token.

``guard`` is for Python; ``breakglass-gate`` for everything else. Both need ``cryptography`` alone.
"""
