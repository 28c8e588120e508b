"""Every log that these tests make is cut before each entry and goes on from the state's form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from breakglass.records.encoding.whole_form import form_bytes, parse_form
from breakglass.records.fold.fold import Judged, apply
from breakglass.records.fold.state import State
from breakglass.records.fold.state_form import STATE, still_copy
from tests.kit.organisation import Organisation


def restored(state: State) -> State:
    """Return the state as its form gives it, and be sure that it is the same."""
    written = form_bytes(STATE.of(state))
    again: State = STATE.read(parse_form(written))
    assert again == state
    assert again.digest() == state.digest()
    assert form_bytes(STATE.of(again)) == written
    return again


@pytest.fixture(autouse=True, scope="package")
def across_snapshots() -> Iterator[None]:
    """Judge each entry twice: on the state, and on what its form gives."""
    append = Organisation.append

    def append_twice(org: Organisation, note: bytes, **how: Any) -> Judged:
        second, still = restored(org.state), still_copy(org.state)
        stood = form_bytes(STATE.of(still))
        judged = append(org, note, **how)
        entry = org.log.entries(judged.index)[0]
        found = apply(second, entry)
        assert (found, second) == (judged, org.state)
        assert form_bytes(STATE.of(still)) == stood
        return judged

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Organisation, "append", append_twice)
        yield
