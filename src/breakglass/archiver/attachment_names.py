"""Where an attachment lies in the archive, which its own bytes decide, and for how long.

```
<origin hash>/recording/<sha256>     begins as an age file does: encrypted, kept 13 months
<origin hash>/attachment/<sha256>    all else: kept as long as the records, 7 years
```

Nothing but the bytes decides, so whoever reads the archive comes to the same name, and nobody has
to be believed. Why nothing that matters can begin so: docs/decisions,
archiver-3-an-age-file-is-a-recording.
"""

from __future__ import annotations

ATTACHMENTS = "attachment"
RECORDINGS = "recording"
AGE_HEADER = b"age-encryption.org/v1\n"  # age-encryption.org/v1, the first line of every file


def attachment_folder(beginning: bytes) -> str:
    """Return the folder of an attachment that begins so, given at least 22 bytes or all.

    >>> attachment_folder(b"age-encryption.org/v1\\n-> X25519 ")
    'recording'
    >>> attachment_folder(b"age-encryption.org/v1")
    'attachment'
    """
    return RECORDINGS if beginning.startswith(AGE_HEADER) else ATTACHMENTS


def attachment_names(prefix: str, digest: str) -> tuple[str, str]:
    """Return both names under which an attachment may stand; of a whole archive, one does."""
    return f"{prefix}/{ATTACHMENTS}/{digest}", f"{prefix}/{RECORDINGS}/{digest}"
