"""The definitions of RFC 6962, sections 2.1 to 2.1.2, as they stand there: slow and obvious."""

from __future__ import annotations

from hashlib import sha256


def mth(entries: list[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = largest_power_of_two_below(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    k = largest_power_of_two_below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def proof(m: int, entries: list[bytes]) -> list[bytes]:
    return subproof(m, entries, True)


def subproof(m: int, entries: list[bytes], b: bool) -> list[bytes]:
    if m == len(entries):
        return [] if b else [mth(entries)]
    k = largest_power_of_two_below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], b), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class SlowTiles:
    """Stored hashes by their definition; notes which tiles were read."""

    def __init__(self, entries: list[bytes], width: int = 256) -> None:
        self.entries = entries
        self.width = width
        self.read: list[tuple[int, int, int]] = []

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        self.read.append((level, start, stop))
        span = self.width**level
        return [mth(self.entries[i * span : (i + 1) * span]) for i in range(start, stop)]
