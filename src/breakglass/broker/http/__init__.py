"""The broker's doors."""
