"""Software people for tests; see ``breakglass.demo.software_keys``."""

from breakglass.demo.software_keys import (
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
