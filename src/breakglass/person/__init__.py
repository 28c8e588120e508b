"""How a person signs on this machine."""
