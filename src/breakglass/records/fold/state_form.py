"""The form of a whole state, for a snapshot; see ``records/encoding/whole_form.py``."""

from __future__ import annotations

from copy import copy
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

from breakglass.records.encoding.whole_form import Form
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.state import State
from breakglass.records.kinds.gap import Gap
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.intent import Intent
from breakglass.records.signing.signature import Signature

# The slices import these for the type checker alone: a kind knows the state, and the state no kind.
STATE = Form(
    State,
    {
        "ActiveCard": ActiveCard,
        "Gap": Gap,
        "Genesis": Genesis,
        "Intent": Intent,
        "Signature": Signature,
    },
)


def still_copy(state: State) -> State:
    """Return a copy that stands still while the state goes on; its frozen values are shared."""
    still: State = _still(state)
    return still


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _still(each) for key, each in value.items()}
    if isinstance(value, list | set):
        return value.copy()  # of frozen values alone, as everywhere in the state
    if type(value).__hash__ is None and is_dataclass(type(value)):
        return replace(
            value, **{each.name: _still(getattr(value, each.name)) for each in fields(value)}
        )
    if type(value).__hash__ is not None or isinstance(value, MappingProxyType):
        return value
    return copy(value)  # a collection of a slice's own, such as GrantIds
