"""A small ssh-agent for tests; see ``breakglass.embedded.soft_agent``."""

from breakglass.embedded.soft_agent import SoftAgent

__all__ = ["SoftAgent"]
