"""Software people for tests; see ``breakglass.demo.software_keys``."""

from breakglass.demo.software_keys import (
    PRESENT,
    VERIFIED,
    SoftKey,
    SoftP256Key,
    SoftP256SecurityKey,
    SoftPerson,
    SoftSecurityKey,
    parse_soft_key,
)
from breakglass.demo.software_passkey import BACKUP_ELIGIBLE, SoftPasskey

__all__ = [
    "BACKUP_ELIGIBLE",
    "PRESENT",
    "VERIFIED",
    "SoftKey",
    "SoftP256Key",
    "SoftP256SecurityKey",
    "SoftPasskey",
    "SoftPerson",
    "SoftSecurityKey",
    "parse_soft_key",
]
