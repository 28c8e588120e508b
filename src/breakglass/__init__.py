"""Emergency access whose record cannot be quietly changed and whose unrecorded bypass does not work."""
