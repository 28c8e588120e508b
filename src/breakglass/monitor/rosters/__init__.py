"""Who is on call: read from the sources that the policy names, and stated into the ledger."""
