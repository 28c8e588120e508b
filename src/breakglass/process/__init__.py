"""What every process is made of: its folder, its key, its settings, its server, its own bell."""
