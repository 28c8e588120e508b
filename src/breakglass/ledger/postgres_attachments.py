"""Attachments in the journal's database, so that the ledger that takes over has them too."""

from __future__ import annotations

import hashlib

from breakglass.errors import MalformedError, RefusedError, UnavailableError
from breakglass.ledger.postgres_calls import PostgresCalls

_PART_BYTES = 1024 * 1024
_HEX = frozenset("0123456789abcdef")


class PostgresAttachments:
    """Takes the place of an ``AttachmentStore``; safe under threads.

    Args:
        calls: of the journal.
        bytes_at_most: longer ones are refused.
    """

    def __init__(self, calls: PostgresCalls, bytes_at_most: int) -> None:
        self._calls = calls
        self._bytes_at_most = bytes_at_most

    def put(self, digest: str, data: bytes) -> None:
        """Keep ``data``, durable when this returns. Again is harmless.

        Raises:
            MalformedError: ``digest`` is not the data's, or the data is too long.
            UnavailableError: PostgreSQL is away.
        """
        _check(digest)
        if len(data) > self._bytes_at_most:
            raise MalformedError(
                f"attachment of {len(data)} bytes, {self._bytes_at_most} at most", name="too_large"
            )
        if hashlib.sha256(data).hexdigest() != digest:
            raise MalformedError(f"attachment is not the bytes of {digest}", name="wrong_digest")
        starts = range(0, max(1, len(data)), _PART_BYTES)
        with self._calls.writing() as file:
            for part, start in enumerate(starts):
                # One transaction: a digest with some parts and not others is never there.
                file.execute(
                    "insert into attachments values (%s, %s, %b) on conflict do nothing",
                    (digest, part, data[start : start + _PART_BYTES]),
                )

    def get(self, digest: str) -> bytes:
        """Return the bytes.

        Raises:
            RefusedError: ``not_found``.
            UnavailableError: what is stored is damaged.
        """
        _check(digest)
        rows = self._calls.read(
            "select data from attachments where digest = %s order by part", digest
        )
        if not rows:
            raise RefusedError(f"there is no attachment {digest}", name="not_found")
        data = b"".join(row[0] for row in rows)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UnavailableError(f"attachment {digest} is damaged", name="damaged")
        return data

    def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under ``digest``; ``None`` if there are none."""
        _check(digest)
        rows = self._calls.read(
            "select sum(length(data))::bigint from attachments where digest = %s", digest
        )
        size: int | None = rows[0][0]
        return size


def _check(digest: str) -> None:
    if len(digest) != 64 or set(digest) - _HEX:
        raise MalformedError(f"{digest[:80]!r} is no SHA-256 in hex", name="wrong_digest")
