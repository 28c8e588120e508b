"""The platforms that a minter can stand beside, each under the one contract of ``platform``."""
