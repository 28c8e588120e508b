"""A glass for when MFA is down takes one factor and one other person's word, and is louder."""

from __future__ import annotations

from dataclasses import replace

from breakglass.monitor import alert_texts
from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.history_projection import GrantHistory
from breakglass.monitor.reviews.prefill import Sources, fill
from breakglass.records.card import Card
from breakglass.records.kinds.asked import Factors
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import digest_of
from tests.kit.organisation import Organisation
from tests.kit.plain_english import check_wording
from tests.monitor.stand_ins import history_of
from tests.records.folding import void

DOWN = "deploy-rollback.mfa-down"


class WithStandIn(Organisation):
    """An organisation with one glass more, as the policy's ``factors.down`` makes it."""

    def cards(self) -> dict[str, Card]:
        """Return every card."""
        found = super().cards()
        base = found["deploy-rollback"]
        return {**found, DOWN: replace(base, glass=DOWN, factor=Factor.ONE, need=1)}


def test_a_glass_for_when_mfa_is_down_rings_louder_and_is_reviewed_as_that() -> None:
    org = WithStandIn()
    org.begin()
    alerts, sessions = {}, {}
    for number, glass in enumerate((DOWN, "deploy-rollback")):
        said = org.statement(glass=glass, nonce=f"{number:032x}")
        signed = org.sign(said)
        yes = (org.sign(org.answer(digest_of(signed.text))),) if glass == DOWN else ()
        broken = org.break_glass(said=said, signed=signed, approvals=yes)
        assert org.judged[-1].holds, org.judged[-1].why
        grant = org.state.grants.by_id[broken.grant]
        alerts[glass], fields = alert_texts.broke_glass(grant, None)
        check_wording(alerts[glass])
        assert ("factor" in fields) == (glass == DOWN)
        asked = org.asked(broken.signed, factors=Factors(Factor.ONE, 3, glass == DOWN))
        history = GrantHistory(grant.grant, asked=asked)
        sources = Sources(grant, history, {}, ("sam",), None, org.now)
        sessions[glass] = fill(sources).record.session
    assert alerts[DOWN].startswith("MFA SAID TO BE DOWN, GLASS BROKEN: mira broke")
    assert "One factor is enough here: sam said that MFA is down." in alerts[DOWN]
    assert "ONE FACTOR: sam said that MFA was down" in sessions[DOWN]
    assert alerts["deploy-rollback"].startswith("GLASS BROKEN: ")
    assert "MFA" not in alerts["deploy-rollback"]
    assert "one factor only" in sessions["deploy-rollback"]


def test_nobody_opens_it_on_their_own_word() -> None:
    org = WithStandIn()
    org.begin()
    org.break_glass(statement={"glass": DOWN})
    void(org.judged[-1], "too_few_people")
    said = org.statement(glass=DOWN, nonce="0a" * 16)
    signed = org.sign(said)
    own = org.sign(org.answer(digest_of(signed.text), who="mira"))
    org.break_glass(said=said, signed=signed, approvals=(own,))
    assert not org.judged[-1].holds


def test_it_rings_twice_in_one_thread_and_the_second_says_why() -> None:
    org = WithStandIn()
    org.begin()
    said = org.statement(glass=DOWN)
    signed = org.sign(said)
    yes = (org.sign(org.answer(digest_of(signed.text))),)
    broken = org.break_glass(said=said, signed=signed, approvals=yes)
    entry = org.log.entries(broken.index)[0]
    usual, louder = alert_for(org.judged[-1], entry, org.state, history_of(org))
    assert (usual.subject, louder.subject) == ("broke_glass", "mfa_down")
    assert usual.thread == louder.thread == broken.grant
    assert "by the word of sam. Is it?" in louder.text
    assert f"breakglass kill {broken.grant}" in louder.text
    check_wording(louder.text)
