"""A policy bundle as one text: what maintainers sign, the ledger keeps and everybody re-reads.

The packed form is RFC 8785 JSON of file name to text, so the same files give the same bytes
everywhere. Its SHA-256 is *the* policy digest of statements, cards and intents.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from breakglass.canonical import canonical, parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

MAIN_FILE = "breakglass.yaml"
CASES_FILE = "cases.yaml"
# 10,000 people with two P-256 security keys each make 4.7 MB; followers read no longer bundle.
PACKED_BYTES_AT_MOST = 6 * 1024 * 1024
FILES_AT_MOST = 64
_NAME = re.compile(r"breakglass\.yaml|cases\.yaml|[a-z0-9][a-z0-9._-]{0,62}\.cedar", re.ASCII)


def pack_bundle(files: Mapping[str, bytes]) -> bytes:
    """Make the one text of a bundle; the order of ``files`` does not matter.

    Args:
        files: file name to content: ``breakglass.yaml``, any number of ``*.cedar``, and
            ``cases.yaml`` where there are cases.

    Raises:
        MalformedError: a name that has no place in a bundle, no ``breakglass.yaml``, a file that
            is not UTF-8, or more than 6 MiB.

    >>> pack_bundle({"b.cedar": b"", "breakglass.yaml": b"version: 1"})
    b'{"b.cedar":"","breakglass.yaml":"version: 1"}'
    """
    check_names(files)
    packed = canonical({name: _text(name, content) for name, content in files.items()}).encode()
    if len(packed) > PACKED_BYTES_AT_MOST:
        raise MalformedError(
            f"bundle: expected {PACKED_BYTES_AT_MOST} bytes at most, got {len(packed)}",
            name=ErrorName.BUNDLE_TOO_LARGE,
        )
    return packed


def unpack_bundle(data: bytes) -> dict[str, bytes]:
    """Read what ``pack_bundle`` wrote, and nothing else.

    Raises:
        MalformedError: another form.
    """
    if len(data) > PACKED_BYTES_AT_MOST:
        raise MalformedError(
            f"bundle: expected {PACKED_BYTES_AT_MOST} bytes at most, got {len(data)}",
            name=ErrorName.BUNDLE_TOO_LARGE,
        )
    value = parse_canonical(_text("bundle", data), "bundle")
    if not isinstance(value, Mapping):
        raise MalformedError("bundle: expected an object of file names")
    files = {}
    for name, text in value.items():
        if not isinstance(text, str):
            raise MalformedError(f"bundle.{name[:40]}: expected a text")
        files[name] = text.encode()
    check_names(files)
    return files


def bundle_digest(data: bytes) -> str:
    """Return the policy digest of packed bytes: SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_names(files: Mapping[str, bytes]) -> None:
    """Refuse file names that have no place in a bundle, and a bundle without its main file.

    Raises:
        MalformedError: with the name.
    """
    for name in files:
        if not _NAME.fullmatch(name):
            raise MalformedError(
                f"bundle: expected '{MAIN_FILE}', '{CASES_FILE}' and files like 'freeze.cedar',"
                f" got {name[:60]!r}",
                name=ErrorName.BAD_FILE_NAME,
            )
    if MAIN_FILE not in files:
        raise MalformedError(
            f"bundle: expected a file '{MAIN_FILE}', got none", name=ErrorName.NO_MAIN_FILE
        )
    if len(files) > FILES_AT_MOST:
        raise MalformedError(f"bundle: expected {FILES_AT_MOST} files at most, got {len(files)}")


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise MalformedError(
            f"{name}:{line}:1: expected UTF-8, got byte 0x{content[error.start]:02x}",
            name=ErrorName.NOT_UTF8,
        ) from error
