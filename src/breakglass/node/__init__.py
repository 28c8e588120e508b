"""Where records meet the wire: follow the ledger and fold it; state facts through the outbox."""
