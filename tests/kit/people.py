"""Software people for tests; see ``breakglass.demo.soft_people``."""

from breakglass.demo.soft_people import (
    PRESENT,
    VERIFIED,
    SoftKey,
    SoftPasskey,
    SoftPerson,
    SoftSecurityKey,
    parse_soft_key,
)

__all__ = [
    "PRESENT",
    "VERIFIED",
    "SoftKey",
    "SoftPasskey",
    "SoftPerson",
    "SoftSecurityKey",
    "parse_soft_key",
]
