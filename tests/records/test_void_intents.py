"""What an offline gate cannot know: intents that are proven, and that the ledger's readers void.

The proof says that an intent stands in the log, not that it counts there. Each case here opens a
gate of level ``witnessed``, is void in the fold and rings, and opens none of level ``justified``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from breakglass.errors import UnprovenError
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.signing.signature import CARD_NAMESPACE
from breakglass.records.statement import Do, Target
from breakglass.tlog.note import Note
from breakglass.token.verify import verify_token
from tests.kit.organisation import Broken, Organisation

Case = Callable[[Organisation], Broken]


def of_a_suspended_person(org: Organisation) -> Broken:
    word = org.sign(org.kill(Target.PERSON, "mira"))
    assert org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", True, word)).holds
    return org.break_glass()


def of_no_incident(org: Organisation) -> Broken:
    return org.break_glass(statement={"incident": "INC-9"})


def of_a_closed_incident(org: Organisation) -> Broken:
    word = org.sign(org.declare(do=Do.CLOSE, nonce="55" * 16))
    assert org.open_incident(change=IncidentChange.CLOSED, statement=word).holds
    return org.break_glass()


def of_a_nonce_used_before(org: Organisation) -> Broken:
    assert org.break_glass()
    return org.break_glass(statement={"ticket": "another wish"})


def of_a_replaced_policy(org: Organisation) -> Broken:
    card, said = org.card_note(), org.statement()
    org.policy_version += 1
    org.activate_policy()
    return org.break_glass(said=said, card=card)


def behind_a_hole_in_the_brokers_chain(org: Organisation) -> Broken:
    return org.break_glass(envelope={"seq": 99})


CASES: dict[str, tuple[Case, str]] = {
    "a suspended person's": (of_a_suspended_person, "suspended"),
    "of no incident": (of_no_incident, "no_incident"),
    "of an incident that is closed": (of_a_closed_incident, "no_incident"),
    "with a nonce that was used": (of_a_nonce_used_before, "nonce"),
    "of a policy that was replaced": (of_a_replaced_policy, ""),
    "behind a hole in the chain": (behind_a_hole_in_the_brokers_chain, "chain"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_void_intent_opens_an_offline_gate_and_none_that_waits_for_the_monitor(case: str) -> None:
    make, name = CASES[case]
    org = Organisation()
    org.begin()
    broken = make(org)
    judged = org.judged[-1]
    assert not judged.holds
    assert not judged.quiet  # it rings
    assert name in ("", judged.void)
    token = org.token(broken)
    assert verify_token(token, org.verifier(), "42", org.now).intent == broken.intent
    with pytest.raises(UnprovenError, match="no 'justified' record") as caught:
        verify_token(token, org.verifier(level="justified"), "42", org.now)
    assert caught.value.name == "level"


def test_a_machine_on_a_card_that_takes_two_people_is_believed_by_nobody() -> None:
    """The verifier has the vector ``machine-with-need``; here the fold voids the very card."""
    org = Organisation()
    org.begin()
    text = Note.parse(org.card_note("auto-rollback")).text.replace('"need":0', '"need":1')
    card = org.people_sign(text, CARD_NAMESPACE)
    judged = org.activate_cards({"auto-rollback": card})
    assert (judged.holds, judged.quiet, judged.void) == (False, False, "malformed")
    assert org.state.governance.cards["auto-rollback"].card.need == 0
