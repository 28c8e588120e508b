"""From bypasses and passages to a verdict on the gate: pure functions over a history folder."""
