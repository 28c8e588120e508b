"""The one spelling of JSON, of frozen dataclasses in it, and of the texts that may stand there."""
