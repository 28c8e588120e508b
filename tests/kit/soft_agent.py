"""A small ssh-agent for tests; see ``breakglass.demo.software_agent``."""

from breakglass.demo.software_agent import SoftAgent

__all__ = ["SoftAgent"]
