"""Incidents: opened and closed by people's signed words."""
