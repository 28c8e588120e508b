"""Three asks of a person on one day that came to nothing ring; two, or of two days, do not."""

from __future__ import annotations

from datetime import timedelta

from breakglass.monitor.people.failed_asks import failed_asks
from breakglass.records.statement import Do
from tests.kit.organisation import Organisation
from tests.records.folding import MINUTE, begun, holds, last
from tests.records.test_fold_asks import Ask


def ask(org: Organisation, number: int, end: str) -> str:
    """Ask, and let it end; returns its grant."""
    made = Ask(org, f"{number:02x}", at=org.now)
    holds(made.judged)
    org.now += MINUTE
    if end == "refused":
        holds(made.answers("sam", Do.REFUSE, f"b{number}"))
    elif end == "withdrawn":
        holds(made.withdrawn(nonce=f"c{number}"))
    else:
        org.now += timedelta(hours=2)
    return made.grant


def test_the_third_of_a_day_rings_by_whatever_it_ended() -> None:
    org = begun()
    grants = [ask(org, number, end) for number, end in enumerate(("refused", "withdrawn"), 1)]
    assert list(failed_asks(org.state, org.now)) == []
    grants.append(ask(org, 3, "expired"))
    (news,) = failed_asks(org.state, org.now)
    assert (news.subject, news.about, news.fields["who"]) == ("asks_failed", grants[2], "mira")
    assert "breakglass kill person:mira" in news.text
    again = ask(org, 4, "refused")
    (same,) = failed_asks(org.state, org.now)
    assert same.key == news.key
    assert again != same.about


def test_an_older_one_that_comes_to_nothing_later_rings_nobody_again() -> None:
    """The third by the order of the log is another one then, and it is the same day's news."""
    org = begun()
    holds(Ask(org, "01", at=org.now, glass="orders-repair").judged)
    for number in (2, 3, 4):
        ask(org, number, "refused")
    (news,) = failed_asks(org.state, org.now)
    org.now += timedelta(hours=2)
    (same,) = failed_asks(org.state, org.now)
    assert same.about != news.about
    assert same.key == news.key


def test_two_a_day_are_nobodys_suspicion() -> None:
    org = begun()
    for number in (1, 2):
        ask(org, number, "refused")
    org.now += timedelta(days=1)
    ask(org, 3, "refused")
    assert list(failed_asks(org.state, org.now)) == []


def test_an_ask_that_waits_or_was_overtaken_has_not_failed() -> None:
    org = begun()
    for number in (1, 2):
        ask(org, number, "refused")
    holds(Ask(org, "03", at=org.now).judged)
    assert list(failed_asks(org.state, org.now)) == []
    card = org.state.governance.cards["deploy-rollback"].note
    org.break_glass(card=card, statement={"nonce": "04" * 16, "at": org.now})
    holds(last(org))
    assert list(failed_asks(org.state, org.now + timedelta(hours=2))) == []
