"""A glass as maintainers signed it: what it gives is its card's to say, and not the broker's."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from breakglass.cli import output
from breakglass.cli.client import Client
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError

if TYPE_CHECKING:
    from breakglass.records.card import Card, CardMint
    from breakglass.records.statement import Ask, Break

_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h)", re.ASCII)
OTHER = "other"  # the coded reason of who gives none; every policy takes it
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


def signed_card(client: Client, known: dict[str, Any], name: str, now: datetime) -> Card:
    """Return the card of a glass that the broker lists, as the client's own maintainers signed it.

    Raises:
        RefusedError: ``no_glass``, with the names that there are; ``card_expired``.
        UnprovenError: what the broker lists is not what maintainers of the client's trust file
            signed; nothing was signed by the person.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.records.authority import check_card
    from breakglass.records.handout import TRUST_HINT
    from breakglass.tlog.note import Note

    listed = choose(known, name)
    try:
        note = Note.parse(base64.b64decode(listed.get("card", ""), validate=True))
        card = check_card(note, own_trust(client), now)
        if (card.glass, card.log) != (name, client.log):
            raise UnprovenError(f"it is the card of {card.glass!r}", name=ErrorName.WRONG_CARD)
    except RefusedError:
        raise
    except (BreakglassError, ValueError, TypeError) as error:
        raise UnprovenError(
            f"what the broker shows as the card of {name!r} is not what maintainers signed:"
            f" {error}; nothing was asked for",
            name=getattr(error, "name", ErrorName.CARD_SIGNATURES),
            hint=TRUST_HINT,
        ) from error
    return card


def choose(known: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the glass of this name, as the broker lists it.

    Raises:
        RefusedError: ``no_glass``, with the names that there are.
    """
    for glass in known["glasses"]:
        if glass["glass"] == name:
            found: dict[str, Any] = glass
            return found
    names = ", ".join(sorted(each["glass"] for each in known["glasses"]))
    raise RefusedError(
        f"there is no glass {name!r} in policy {known['version']}",
        name=ErrorName.NO_GLASS,
        hint=f"there are: {names}" if names else "no policy is active: breakglass policy activate",
    )


def choose_mint(card: Card, minter: str) -> CardMint | None:
    """Return the card's mint by this minter, or its only one; ``None`` if it mints nothing.

    Raises:
        MalformedError: it has several, or none of that name.
    """
    if not minter and len(card.mints) < 2:
        return card.mints[0] if card.mints else None
    for mint in card.mints:
        if mint.minter == minter:
            return mint
    names = ", ".join(mint.minter for mint in card.mints) or "none"
    raise MalformedError(
        f"glass {card.glass!r} has no minter {minter!r}"
        if minter
        else f"glass {card.glass!r} has several minters",
        hint=f"say which: --minter NAME (there are: {names})",
    )


def act_of(mint: CardMint | None) -> str:
    """Return the act that a mint runs in place of a credential, if it has exactly one.

    Raises:
        MalformedError: it has several.
    """
    acts = sorted(mint.acts) if mint else []
    if mint and len(acts) > 1:
        raise MalformedError(f"minter {mint.minter!r} runs several acts: {', '.join(acts)}")
    return acts[0] if acts else ""


def life_of(card: Card, given: str) -> timedelta:
    """Read ``--for``, or return the longest that the card allows.

    Raises:
        MalformedError: no length of time.
        RefusedError: ``too_long``.
    """
    longest = timedelta(seconds=card.for_s)
    if not given:
        return longest
    asked = span_of("--for", given)
    if asked > longest:
        raise RefusedError(
            f"glass {card.glass!r} is for {output.duration(longest.total_seconds())} at most,"
            f" asked {output.duration(asked.total_seconds())}",
            name=ErrorName.TOO_LONG,
        )
    return asked


def span_of(option: str, given: str) -> timedelta:
    """Read a length of time as it is typed.

    Raises:
        MalformedError: it is none.
    """
    match = _SPAN.fullmatch(given)
    if match is None:
        raise MalformedError(f"invalid duration {option} {given[:20]!r}", hint="use 90s, 10m or 1h")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def check_code(known: dict[str, Any], code: str) -> str:
    """Return the coded reason to sign: the one given, if the policy has it.

    Args:
        known: as the broker lists it.
        code: what was typed; empty: ``other``.

    Raises:
        RefusedError: ``unknown_reason``, with the codes that there are.
    """
    codes = known.get("reasons", [])
    if code and codes and code not in codes:
        raise RefusedError(
            f"policy {known['version']} has no reason {code!r}",
            name=ErrorName.UNKNOWN_REASON,
            hint=f"there are: {', '.join(codes)}",
        )
    return code or OTHER


def what_is_asked(card: Card, said: Ask | Break) -> str:
    """Say what a statement asks of a card: its own scope, which may be narrower than the card's."""
    parts = []
    if said.minter:
        scope = ", ".join(f"{name} {' '.join(each)}" for name, each in sorted(said.scope.items()))
        what = f"act {said.act!r}" if said.act else scope or "a credential"
        parts.append(f"{what} by {said.minter!r}")
    if card.gates and not said.starts:
        parts.append(f"opens gate {', '.join(map(repr, card.gates))}")
    return "; ".join(parts)


def what_it_grants(
    card: Card, mint: CardMint | None, life: timedelta, *, later: bool = False
) -> str:
    """Say what a card gives for how long, in one line; what begins later opens no gate."""
    parts = []
    if mint is not None:
        scope = ", ".join(f"{name} {' '.join(each)}" for name, each in sorted(mint.scope.items()))
        act = act_of(mint)
        parts.append(f"{f'act {act!r}' if act else scope or 'a credential'} by {mint.minter!r}")
    if card.gates and not later:
        parts.append(f"gate {', '.join(map(repr, card.gates))}")
    parts.append(f"{output.duration(life.total_seconds())} at most")
    return "; ".join(parts)
