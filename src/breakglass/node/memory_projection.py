"""A projection whose whole content is one dataclass in memory; see ``Projection``."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from breakglass.canonical import Json
from breakglass.errors import MalformedError
from breakglass.records.encoding.whole_form import Form, form_bytes
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State

K = TypeVar("K")


class MemoryProjection(ABC, Generic[K]):
    """What the projections have in common but what they take; safe under threads.

    Attributes:
        name: as in ``Projection``.
        kept: the content. ``restore`` and ``forget`` put another object in its place.
    """

    def __init__(
        self, name: str, kind: type[K], names: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Begin empty.

        Args:
            name: see above.
            kind: the dataclass; made without arguments it is empty.
            names: see ``Form``.
        """
        self.name = name
        self.kept = kind()
        self._kind = kind
        self._form = Form(kind, names)
        self._lock = threading.RLock()

    @abstractmethod
    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""

    def form(self) -> Json:
        """Return all of it, behind the digest of what its form depends on."""
        with self._lock:
            return [self._form.schema, self._form.of(self.kept)]

    def restore(self, form: Json, state: State) -> None:
        """Become what ``form`` returned.

        Raises:
            MalformedError: it is not ours.
        """
        # A form names no fields: that of an earlier release might fit, and mean something else.
        if not isinstance(form, list) or len(form) != 2 or form[0] != self._form.schema:
            raise MalformedError(f"projection {self.name!r}: a form of another schema")
        found = self._form.read(form[1])
        with self._lock:
            self.kept = found

    def digest(self) -> str:
        """Return the SHA-256 of the form."""
        return hashlib.sha256(form_bytes(self.form())).hexdigest()

    def forget(self) -> None:
        """Be empty again."""
        with self._lock:
            self.kept = self._kind()
