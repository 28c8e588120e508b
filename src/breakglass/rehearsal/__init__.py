"""A twin of an organisation, in which something is lost and every glass is tried without it."""
