"""The minter: beside its target, believes nobody but the token, and ends what it began."""
