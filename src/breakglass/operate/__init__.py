"""What operators do: trust, keys, hosts, gates, and a doctor that says what is missing."""
