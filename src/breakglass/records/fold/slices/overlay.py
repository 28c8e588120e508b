"""Collections over others that stand still: what a trial changes, it changes here alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Overlay(dict[K, V]):
    """A dictionary over another, which it reads through to and never changes.

    It knows what judges ask of it: ``in``, ``get``, indexing, setting and ``pop``.
    """

    def __init__(self, below: Mapping[K, V]) -> None:
        super().__init__()
        self._below = below
        self._gone: set[K] = set()

    def __missing__(self, key: K) -> V:
        if key in self._gone:
            raise KeyError(key)
        return self._below[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key not in self._gone and key in self._below)

    def get(self, key: K, default: Any = None) -> Any:
        """Return what stands here or below."""
        try:
            return self[key]
        except KeyError:
            return default

    def pop(self, key: K, default: Any = None) -> Any:
        """Take a key out here; below it stays."""
        found = self.get(key, default)
        super().pop(key, None)
        self._gone.add(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self._gone.discard(key)
        super().__setitem__(key, value)

    def keys_through(self) -> list[K]:
        """Return every key, here and below."""
        below = [each for each in every_key(self._below) if each not in self._gone]
        return [*(each for each in below if not super(Overlay, self).__contains__(each)), *self]


def every_key(of: Mapping[K, V]) -> list[K]:
    """Return the keys of a dictionary, and of those that an overlay reads through to."""
    return of.keys_through() if isinstance(of, Overlay) else list(of)
