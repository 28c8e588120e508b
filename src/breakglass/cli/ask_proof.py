"""An ask that an approver is about to answer: checked here, before a word of it is shown as fact.

A broker brings it and is believed in nothing. Who asks follows from their signature and their line
on the card; what it gives follows from the card, which maintainers signed; the digest that the
approver signs is that of the very text that was checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from breakglass.cli import output
from breakglass.cli.ask_view import AskView
from breakglass.cli.client import Client
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnprovenError

if TYPE_CHECKING:
    from breakglass.records.card import Card
    from breakglass.records.signing.signature import Factor, Signature
    from breakglass.records.statement import Ask, Break


@dataclass(frozen=True)
class ProvenAsk:
    """What somebody wants, by their own signature, under the card in force.

    ``digest`` is that of the text they signed, ``factor`` how they were there.
    """

    said: Ask | Break
    card: Card
    digest: str
    factor: Factor


def proven_ask(client: Client, view: AskView, grant: str, now: datetime) -> ProvenAsk:
    """Return what a broker shows of an ask, once all of it is proven here.

    Args:
        client: whose trust file says who is believed.
        view: as the broker shows it.
        grant: the one that was named.
        now: by this machine.

    Raises:
        UnprovenError: another ask than the one that was named, a card that maintainers did not
            sign, or a signature that is not the asker's; nothing was signed.
        RefusedError: ``wrong_policy``: the policy changed after it was asked.
    """
    from breakglass.cli.signed_glass import signed_card
    from breakglass.records.authority import check_people, check_person
    from breakglass.records.intent_limits import check_scope_of_card
    from breakglass.records.people_list import May
    from breakglass.records.statement import digest_of, grant_id
    from breakglass.token.token import parse_person_line

    try:
        signed, said = _said(view)
        if grant_id(signed.text) != grant:
            raise UnprovenError("it is of another grant", name=ErrorName.WRONG_GRANT)
        if said.log != client.log:
            raise UnprovenError(f"it is of log {said.log!r}", name=ErrorName.WRONG_LOG)
        card = signed_card(client, client.broker("GET", "/glasses"), said.glass, now)
        check_scope_of_card(said, card)
        people = check_people(tuple(map(parse_person_line, view.people)), card)
        factor = check_person(card, people, said.who, May.BREAK, signed)
    except (MalformedError, UnprovenError, RefusedError) as error:
        raise UnprovenError(
            f"what the broker shows as ask {grant!r} does not prove itself: {error}; nothing was"
            " signed",
            name=error.name,
            hint="do not sign; ask who asked you, by another way",
        ) from error
    if said.policy != card.policy:
        raise RefusedError(
            f"the policy changed after ask {grant!r} was signed; nothing was signed by you",
            name=ErrorName.WRONG_POLICY,
            hint=f"{said.who} asks again: breakglass ask {said.glass}",
        )
    return ProvenAsk(said, card, digest_of(signed.text), factor)


def _said(view: AskView) -> tuple[Signature, Ask | Break]:
    from breakglass.records.signing.signature import Signed, SignedByPasskey
    from breakglass.records.statement import Ask, Break, parse_request
    from breakglass.strict_json import read

    form = SignedByPasskey if "passkey" in view.value["statement"] else Signed
    signed: Any = read(form, view.value["statement"], "statement")
    said = parse_request(signed.text)
    if not isinstance(said, Ask | Break):
        raise MalformedError(f"{said.do.value!r} is approved by nobody", name=ErrorName.WRONG_DO)
    return signed, said


def in_words(found: ProvenAsk, grant: str, now: datetime) -> list[tuple[str, str]]:
    """Return the rows that an approver reads before they answer: all of it proven here."""
    from breakglass.cli.glass_request import begins
    from breakglass.cli.signed_glass import what_is_asked
    from breakglass.records.statement import Do

    said, card = found.said, found.card
    does = "asks for it" if said.do is Do.ASK else "breaks it, which takes approvers"
    life = timedelta(seconds=min(said.for_s, card.for_s))
    asked = output.duration(max(0, (now - said.at).total_seconds()))
    rows = [
        ("who", f"{said.who} {does}; signed with {_factor(found)}"),
        ("glass", f"{card.glass}: {card.does}"),
        ("gives", what_is_asked(card, said)),
        ("for", f"{output.duration(life.total_seconds())} at most; asked {asked} ago"),
        ("begins", begins(said.starts) if said.starts else ""),
        ("incident", said.incident or "none"),
        ("ticket", said.ticket),
        ("why", f'"{said.reason.text}" [{said.reason.code}]'),
        ("grant", grant),
    ]
    if said.drill:
        rows.insert(0, ("DRILL", "a rehearsal: nothing opens"))
    return [(label, value) for label, value in rows if value]


def _factor(found: ProvenAsk) -> str:
    from breakglass.records.signing.signature import Factor

    return "a key file (one factor)" if found.factor is Factor.ONE else "a security key"


def of_broker(value: Mapping[str, Any], who: str) -> list[str]:
    """Return what the broker says beside an ask, each marked as its word.

    ``refused_before`` and ``self_declared`` are in the ledger, which this client does not read.
    """
    said = []
    if value.get("self_declared"):
        said.append("the broker says: a self-declared incident, of no outside source")
    for each in value.get("refused_before", []):
        by, why = (each.get(name, "?") for name in ("who", "why"))
        said.append(f'the broker says: {by} refused {who} this glass within 24 h: "{why}"')
    return said
