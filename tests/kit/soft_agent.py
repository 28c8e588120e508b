"""A small ssh-agent for tests; see ``breakglass.demo.soft_agent``."""

from breakglass.demo.soft_agent import SoftAgent

__all__ = ["SoftAgent"]
