"""One way to write the four statements that want something; what a form lacks is left out."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from breakglass.records.statement import AccessRequest, Ask, Break, Do, Door, Machine

_FORMS: dict[Do, type[AccessRequest]] = {Do.ASK: Ask, Do.DOOR: Door, Do.MACHINE: Machine}
_EMPTY = {"act": "", "drill": False, "ticket": "", "starts": "", "after": ""}


def access_request(do: Do, **said: Any) -> AccessRequest:
    """Return the statement of form ``do`` with these fields; what is not said is empty."""
    form = _FORMS.get(do, Break)
    known = {**_EMPTY, **said, "do": do}
    return form(**{each.name: known[each.name] for each in fields(form)})
