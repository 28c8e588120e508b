"""The plan for other maintainers: which steps, in which order, and what is done already."""

from __future__ import annotations

import pytest

from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.operate.maintainer_plan import Wanted, added, plan, removed, replaced
from breakglass.records.trust import parse_trust
from breakglass.records.trust_handover import check_cards_live, dying_cards
from breakglass.tlog.note import Note
from tests.kit.organisation import Organisation
from tests.kit.people import SoftKey

ZOE = SoftKey.of("zoe").public


@pytest.fixture
def org() -> Organisation:
    return Organisation()


def cards(org: Organisation) -> dict[str, Note]:
    return {glass: Note.parse(org.card_note(glass)) for glass in org.cards()}


def test_a_handover_adds_signs_anew_and_drops_and_no_step_ends_a_card(org):
    """(R-25)"""
    trust, standing = org.trust(), cards(org)
    wanted = replaced(trust, "ben", "zoe", (ZOE,))
    add, policy, drop = plan(trust, standing, wanted)
    assert [each.name for each in (add, policy, drop)] == ["add", "policy", "drop"]
    assert [each.done for each in (add, policy, drop)] == [False, False, False]
    wide = parse_trust(add.text)
    assert (wide.version, set(wide.maintainers)) == (
        trust.version + 1,
        {"ana", "ben", "cal", "zoe"},
    )
    check_cards_live(standing, trust, wide)
    # What follows the first step is planned again from what is in force then.
    again = plan(wide, standing, replaced(wide, "ben", "zoe", (ZOE,)))
    assert [each.done for each in again] == [True, False, False]
    final = parse_trust(again[2].text)
    assert (final.version, set(final.maintainers)) == (trust.version + 2, {"ana", "cal", "zoe"})
    assert dying_cards(standing, final) == sorted(standing)
    with pytest.raises(RefusedError, match="would end"):
        check_cards_live(standing, wide, final)
    done = plan(final, standing, replaced(final, "ben", "zoe", (ZOE,)))
    assert all(each.done for each in done)


def test_another_key_of_one_person_goes_the_same_way(org):
    trust = org.trust()
    add, _, drop = plan(trust, cards(org), replaced(trust, "ben", "ben", (ZOE,)))
    wide = parse_trust(add.text)
    assert wide.maintainers["ben"] == (*trust.maintainers["ben"], ZOE)
    assert parse_trust(drop.text).maintainers["ben"] == (ZOE,)


def test_one_beside_the_others_needs_no_new_policy(org):
    trust = org.trust()
    steps = plan(trust, cards(org), added(trust, "zoe", (ZOE,), None))
    assert [each.done for each in steps] == [False, True, False]
    wide = parse_trust(steps[0].text)
    assert all(each.done for each in plan(wide, cards(org), added(wide, "zoe", (ZOE,), None)))


def test_a_higher_threshold_waits_for_cards_that_so_many_signed(org):
    trust = org.trust()
    wide = parse_trust(plan(trust, cards(org), added(trust, "zoe", (ZOE,), 3))[0].text)
    assert wide.maintainers_needed == trust.maintainers_needed
    steps = plan(wide, cards(org), added(wide, "zoe", (ZOE,), 3))
    assert [each.done for each in steps] == [True, False, False]
    assert parse_trust(steps[2].text).maintainers_needed == 3


def test_too_few_never_stay(org):
    trust = org.trust()
    two = plan(trust, {}, removed(trust, "ben", None))[2].text
    assert set(parse_trust(two).maintainers) == {"ana", "cal"}
    with pytest.raises(RefusedError, match="would stay and 2 have to sign"):
        removed(parse_trust(two), "ana", None)
    with pytest.raises(RefusedError, match="'nobody' is no maintainer"):
        replaced(trust, "nobody", "zoe", (ZOE,))
    with pytest.raises(MisconfiguredError, match="two at least"):
        plan(trust, {}, Wanted({"ana": trust.maintainers["ana"]}, 1))
