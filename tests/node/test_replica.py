"""A process's view of a real ledger: the same entries, the same state, for everybody."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from breakglass.canonical import Json, canonical
from breakglass.errors import UnavailableError, UnprovenError
from breakglass.node.catch_up import CatchingUp
from breakglass.node.replica import Replica
from breakglass.node.views import Health, health
from breakglass.records import all_kinds as kinds
from breakglass.records import kind_sets
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from tests.kit.organisation import Organisation
from tests.kit.processes import until
from tests.node.conftest import WITHIN, Followed


def told(state: State) -> dict[str, Json]:
    """Return what the records say; the witnesses' times are those of each log's own."""
    return {key: item for key, item in state.summary().items() if key != "witnessed"}


def test_the_view_folds_to_the_state_of_everybody_else(followed: Followed) -> None:
    broken = followed.org.break_glass()
    size = followed.send()
    view = followed.view()
    try:
        assert view.wait_for(size - 1, WITHIN).holds
        with view.reading() as state:
            assert told(state) == told(followed.org.state)
            assert state.grants.by_id[broken.grant].intent.who == "mira"
    finally:
        view.close()


def test_a_deleted_cache_is_folded_again_to_the_same_state(followed: Followed) -> None:
    followed.org.break_glass()
    size = followed.send()
    digests = []
    for _ in range(3):  # from the ledger, from the cache, and from the ledger again
        view = followed.view()
        view.wait_for(size - 1, WITHIN)
        with view.reading() as state:
            digests.append(state.digest())
        view.close()
        if len(digests) == 2:
            shutil.rmtree(followed.folder / "cache")
    assert len(set(digests)) == 1


def test_a_view_knows_how_many_entries_it_will_fold_before_it_has_folded_one(
    followed: Followed,
) -> None:
    size = followed.send()
    first = followed.view()
    first.wait_for(size - 1, WITHIN)
    first.close()
    ledger = followed.parties.ledger
    again = Replica(ledger.neighbour(), followed.org.trust(), followed.folder / "cache")
    try:
        assert (again.size, again.known) == (0, size)
        again.heard(size + 5)
        again.heard(size - 1)  # a ledger that says less cannot shrink what is known
        assert again.known == size + 5
    finally:
        again.close()


def test_a_process_asks_how_far_it_has_to_go_and_is_current_once_it_went(
    followed: Followed,
) -> None:
    size = followed.send()
    ledger = followed.parties.ledger
    view = Replica(ledger.neighbour(), followed.org.trust(), followed.folder / "cache")
    asked = ledger.neighbour()
    catching_up = CatchingUp(view, asked, "recorded")
    try:
        catching_up.start()
        until(lambda: view.known == size)
        assert health(view, catching_up.current, False, ()) == Health(
            False, 0, size, False, "", kind_sets.NEWEST, ()
        )
        view.start()
        catching_up.require(WITHIN)
        assert health(view, catching_up.current, True, ()) == Health(
            True, size, size, True, "", kind_sets.NEWEST, ()
        )
    finally:
        catching_up.close()
        view.close()
        asked.close()


def test_a_view_waits_for_what_the_fold_must_read_while_the_ledger_is_away(
    followed: Followed,
) -> None:
    size = followed.send()
    first = followed.view()
    first.wait_for(size - 1, WITHIN)
    first.close()
    # The entries are in the cache; the trust file and the cards that some of them name are not.
    shutil.rmtree(followed.folder / "cache" / "attachments")
    followed.parties.ledger.kill()
    stopped: list[Exception] = []
    second = followed.view(trouble=stopped.append)
    try:
        with pytest.raises(UnavailableError, match="was not seen within"):
            second.wait_for(size - 1, timedelta(seconds=0.5))
        assert stopped == []
        followed.parties.ledger.start()
        second.wait_for(size - 1, WITHIN)
        with second.reading() as state:
            assert told(state) == told(followed.org.state)
    finally:
        second.close()


def test_a_record_that_does_not_hold_is_judged_void_and_heard(followed: Followed) -> None:
    heard: list[Judged] = []
    view = followed.view(on_judged=lambda judged, entry, state: heard.append(judged))
    try:
        followed.org.break_glass(intent={"who": "teo"})
        size = followed.send()
        assert view.wait_for(size - 1, WITHIN).void == "intent_mismatch"
        assert [each.index for each in heard] == list(range(size))
    finally:
        view.close()


class _Later(kinds.Policy):
    """The kind of another version, which this software does not know."""

    v = 2


def test_what_the_fold_asks_for_is_what_the_view_fetches_also_of_an_unknown_version(
    followed: Followed,
) -> None:
    """A stolen broker key could otherwise stop everybody's view with one record."""
    stopped: list[Exception] = []
    view = followed.view(trouble=stopped.append)
    try:
        followed.org.state_that("broker", _Later(9, "0" * 64, "commit"), attachments=[b"bundle"])
        size = followed.send()
        assert view.wait_for(size - 1, WITHIN).holds
        assert stopped == []
    finally:
        view.close()


def test_an_entry_is_seen_at_once_and_a_ledger_that_restarts_is_followed_on(
    followed: Followed,
) -> None:
    size = followed.send()
    view = followed.view()
    try:
        view.wait_for(size - 1, WITHIN)
        followed.parties.ledger.kill()
        until(lambda: view.away is not None)
        with pytest.raises(UnavailableError, match="was not seen within"):
            view.wait_for(size, timedelta(milliseconds=50))
        followed.parties.ledger.start()
        followed.org.break_glass()
        size = followed.send()
        assert view.wait_for(size - 1, WITHIN).holds
    finally:
        view.close()


def test_another_history_under_the_same_key_stops_the_view_and_is_kept(
    followed: Followed,
) -> None:
    begun = followed.org.now
    followed.org.break_glass()
    size = followed.send()
    first = followed.view()
    first.wait_for(size - 1, WITHIN)
    first.close()
    # Ledger and witnesses are set back together and given another grant: a split view in person.
    followed.parties.kill()
    for each in followed.parties.processes:
        shutil.rmtree(each.folder / "data")
    followed.parties.start()
    followed.org, followed.sent = Organisation(now=begun), 0
    followed.org.begin()
    for nonce in ("55" * 16, "66" * 16):
        followed.org.break_glass(statement={"nonce": nonce})
    followed.send()
    stopped: list[Exception] = []
    second = followed.view(trouble=stopped.append)
    try:
        until(lambda: bool(stopped))
        assert isinstance(stopped[0], UnprovenError)
        assert stopped[0].name == "inconsistent_head"
        evidence = sorted(each.suffix for each in (followed.folder / "cache/evidence").iterdir())
        assert evidence == [".ours", ".theirs"]
        with pytest.raises(UnprovenError, match="not consistent"):
            second.wait_for(size, WITHIN)
    finally:
        second.close()


class Counting:
    """A projection: how many records each kind of role made."""

    name = "counting"

    def __init__(self) -> None:
        self.roles: dict[str, int] = {}

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        role = judged.role.kind if judged.role else "nobody"
        assert state.size == entry.index + 1
        self.roles[role] = self.roles.get(role, 0) + 1

    def form(self) -> Json:
        return dict(self.roles)

    def restore(self, form: Json, state: State) -> None:
        raise NotImplementedError

    def digest(self) -> str:
        return canonical(self.form())

    def forget(self) -> None:
        self.roles = {}


def test_a_projection_takes_every_entry_before_whoever_waits_for_it(followed: Followed) -> None:
    counting = Counting()
    view = followed.view(projections=[counting])
    try:
        followed.org.break_glass()
        size = followed.send()
        view.wait_for(size - 1, WITHIN)
        with view.reading():
            assert counting.roles == {"broker": size - 1, "nobody": 1}
    finally:
        view.close()
