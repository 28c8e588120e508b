"""Emergency access: the record cannot be quietly changed, the unrecorded bypass does not work."""
