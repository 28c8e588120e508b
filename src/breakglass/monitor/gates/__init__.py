"""How the gates do, from the followed ledger: their history, their verdicts, their reviews."""
