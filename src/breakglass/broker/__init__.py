"""The broker: takes statements, decides, records, and hands out tokens; holds no credential."""
