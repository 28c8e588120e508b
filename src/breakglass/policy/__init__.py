"""Who may break which glass, when, and with how many people: pure rules over a bundle of texts."""
