"""A place in a log, from where it can be followed on."""

from __future__ import annotations

from dataclasses import dataclass

from breakglass.tlog.edge import TreeEdge


@dataclass(frozen=True)
class Place:
    """A place between two commits of a log: everything before it was delivered.

    Attributes:
        edge: of the tree over all entries before it.
        head: the cosigned checkpoint of exactly these; empty before the first.
    """

    edge: TreeEdge
    head: bytes

    @property
    def size(self) -> int:
        """How many entries stand before it."""
        return self.edge.size


START = Place(TreeEdge(), b"")
