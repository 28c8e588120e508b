"""A glass for when MFA is down takes one factor on its breaker's word alone: so it is louder."""

from __future__ import annotations

from dataclasses import replace

from breakglass.monitor import alert_texts
from breakglass.monitor.history_projection import GrantHistory
from breakglass.monitor.reviews.prefill import Sources, fill
from breakglass.records.card import Card
from breakglass.records.kinds.asked import Factors
from breakglass.records.signing.signature import Factor
from tests.kit.organisation import Organisation
from tests.kit.plain_english import check_wording

DOWN = "deploy-rollback.mfa-down"


class WithStandIn(Organisation):
    """An organisation with one glass more, as the policy's ``factors.down`` makes it."""

    def cards(self) -> dict[str, Card]:
        """Return every card."""
        found = super().cards()
        base = found["deploy-rollback"]
        return {**found, DOWN: replace(base, glass=DOWN, factor=Factor.ONE, ask_need=0)}


def test_a_glass_for_when_mfa_is_down_rings_louder_and_is_reviewed_as_that() -> None:
    org = WithStandIn()
    org.begin()
    alerts, sessions = {}, {}
    for number, glass in enumerate((DOWN, "deploy-rollback")):
        broken = org.break_glass(statement={"glass": glass, "nonce": f"{number:032x}"})
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
    assert "its breaker alone says that MFA is down" in alerts[DOWN]
    assert "ONE FACTOR: the breaker alone said that MFA was down" in sessions[DOWN]
    assert alerts["deploy-rollback"].startswith("GLASS BROKEN: ")
    assert "MFA" not in alerts["deploy-rollback"]
    assert "one factor only" in sessions["deploy-rollback"]
