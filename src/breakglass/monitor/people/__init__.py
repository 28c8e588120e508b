"""What the monitor knows of people and no record says: their channels, mutes, handed-in copies."""
