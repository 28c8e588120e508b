"""How processes speak: HTTP, a client and a table of routes. Knows bytes, never records."""
