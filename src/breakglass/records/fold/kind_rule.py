"""A kind's rule: its form, who may state it, what must be handed in, since when, and its judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from breakglass.records.fold.context import Submission
from breakglass.records.record import ENVELOPE, Kind

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class KindRule:
    """What is known of one kind; ``records/kinds/<kind>.py`` makes one, the registry lists it.

    ``by`` are the kinds of role that may state it. ``reads`` says that its judge reads the
    attachments, which every follower must then hand in. ``outcome`` says that it tells what became
    of something and carries no person's word, so that a ``gap`` may excuse a late one. ``since`` is
    the first set of kinds that has it. ``judge`` changes the state if the record holds, and raises
    before it has changed anything if it does not.
    """

    form: type[Kind]
    by: frozenset[str]
    judge: Callable[[State, Submission], None]
    reads: bool = False
    outcome: bool = False
    since: int = 1

    def __post_init__(self) -> None:
        """Refuse a form that would hide the envelope.

        Raises:
            ValueError: a field has the name of one of the envelope's.
        """
        clash = {field.name for field in fields(self.form)} & set(ENVELOPE)
        if clash:
            raise ValueError(f"kind {self.form.kind!r} hides {sorted(clash)}")
