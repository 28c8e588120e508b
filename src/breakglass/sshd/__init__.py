"""The host's half of SSH: who may log in by a grant, and that nothing of a grant outlives it.

``principals`` answers sshd, ``session`` answers PAM, ``control`` answers the minter, and ``serve``
is the root daemon that ends every grant by its own clock.
"""
