"""What is written down: statements, records, cards, the trust file, and the fold over them."""
