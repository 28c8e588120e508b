"""One submitter's way into the ledger: numbers, a spool, an outbox; it knows notes, never kinds."""
