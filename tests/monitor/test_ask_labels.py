"""What the ledger says of asking before a glass was broken, in plain words: alert and review."""

from __future__ import annotations

import pytest

from breakglass.monitor import alert_texts
from breakglass.monitor.history_projection import GrantHistory
from breakglass.monitor.reviews.prefill import Sources, fill
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.statement import Do, parse_request
from tests.kit.organisation import Organisation
from tests.kit.plain_english import check_wording
from tests.records.folding import MINUTE, begun, holds, last
from tests.records.test_fold_asks import Ask


def told(org: Organisation, grant: GrantState) -> tuple[str, dict[str, str], str]:
    """Return the alert's text and fields, and what the review says of why."""
    text, fields = alert_texts.broke_glass(grant, None)
    assert grant.intent is not None
    why = parse_request(grant.intent.statements[0].text).reason
    history = GrantHistory(grant.grant, why=why)
    sources = Sources(grant, history, {}, ("sam",), None, org.now)
    check_wording(text)
    return text, fields, fill(sources).record.why_glass


@pytest.mark.parametrize(
    ("done", "label", "words"),
    [
        ((), "not_asked", "no approval was asked for in the hour before"),
        (
            ("ask",),
            "not_paged",
            "approval was asked for, but no page reached an approver",
        ),
        (
            ("ask", "page"),
            "did_not_wait",
            "approvers were paged, and it was broken before they answered",
        ),
        (
            ("ask", "page", "nobody"),
            "approvers_silent",
            "approvers were asked and did not answer in time",
        ),
        (("ask", "no"), "refused_by:sam", "approver 'sam' had refused it"),
    ],
)
def test_the_alert_and_the_review_say_whether_approval_was_asked_for_first(
    done: tuple[str, ...], label: str, words: str
) -> None:
    org = begun()
    card, page = org.card_note(), ""
    for step in done:
        if step == "ask":
            ask = Ask(org)
            org.now += 3 * MINUTE
        elif step == "page":
            page = ask.paged()
        elif step == "nobody":
            holds(ask.nobody(page))
        else:
            holds(ask.answers("sam", Do.REFUSE))
    broken = org.break_glass(card=card)
    holds(last(org))
    grant = org.state.grants.by_id[broken.grant]
    assert grant.labels == (label,)
    text, fields, why = told(org, grant)
    assert f" Approval: {words}. It grants:" in text
    assert fields["approval"] == words
    assert why.endswith(f"; {words}")


def test_a_drill_says_nothing_of_approval() -> None:
    org = begun()
    broken = org.break_glass(statement={"drill": True})
    grant = org.state.grants.by_id[broken.grant]
    assert grant.labels == ()
    text, fields, why = told(org, grant)
    assert "Approval" not in text
    assert "approval" not in fields
    assert why == alert_texts.reason(grant.intent)
