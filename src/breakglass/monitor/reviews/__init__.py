"""The look back at every grant: opened by its intent, filled from records, blameless."""
