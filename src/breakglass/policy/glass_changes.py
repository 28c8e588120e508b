"""What a next policy changes in the terms of a glass: how long, when, with what, and how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from breakglass.policy.change import (
    Change,
    Effect,
    Say,
    Told,
    becomes,
    field_changes,
    listed,
    longer,
    ranked,
    value,
)
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.denial_reasons import names
from breakglass.policy.glass import Approvers, BlastRadius, Glass, Passkeys, Seal
from breakglass.policy.glass_terms import terms
from breakglass.policy.mint import Mint
from breakglass.policy.parse import Bundle
from breakglass.policy.review_deadline import due_of
from breakglass.policy.standings import standings
from breakglass.records.card import Output
from breakglass.records.platforms import MAY, SOURCE
from breakglass.records.signing.signature import Factor

WIDENS, NARROWS, OTHER = Effect


def glass_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield what changes in the terms of each glass; who may use it is for ``right_changes``."""
    for name in sorted({*old.glasses, *new.glasses}):
        before, after = old.glasses.get(name), new.glasses.get(name)
        if before is None and after is not None:
            yield Change(WIDENS, f"new glass {name}: {after.does}")
            for label, text in terms(new, after):
                yield Change(WIDENS, "", name, f": {label} {text}")
        elif before is not None and after is None:
            who = names(old.directory.everybody(before.who))
            yield Change(NARROWS, f"{name} is gone: {who} may no longer break it")
        elif before is not None and after is not None:
            for effect, text in _terms(old, new, before, after):
                yield Change(effect, "", name, f": {text}")


def _terms(old: Bundle, new: Bundle, before: Glass, after: Glass) -> Told:
    severities = sorted({*old.reviews.default, *new.reviews.default})
    due = {each: (due_of(old, before, each), due_of(new, after, each)) for each in severities}
    say: dict[str, Say] = _GLASS | {
        "when": partial(_when, by_factor=before.least is after.least),
        "approvers": _approvers,
        "review": partial(_review, due=due),
    }
    who, signers = (
        standings(old.directory, was) == standings(new.directory, now)
        for was, now in (
            (before.who, after.who),
            (before.second_signers, after.second_signers),
        )
    )
    # What the people gain and lose is said of them, and of the least factor what it comes to.
    partly = (
        *(() if signers else ("approvers",)),
        *(("when",) * (before.least is not after.least)),
    )
    but = () if who else ("who",)
    yield from field_changes(before, after, say, but=but, partly=partly)
    rings = listed("its use also alerts", "its use no longer alerts", NARROWS)
    yield from rings(old.channels_of(before), new.channels_of(after))


def _when(before: Any, after: Any, *, by_factor: bool) -> Told:
    # The least factor is said as what it comes to, of ``factor``, ``mfa_age`` and ``factors``.
    return field_changes(before, after, _WHEN, but=() if by_factor else ("factor",))


def _incident(before: tuple[str, ...], after: tuple[str, ...]) -> Told:
    if not before or not after:
        effect = NARROWS if after else WIDENS
        needs, needed = (" or ".join(each) or "none" for each in (after, before))
        yield effect, f"needs an incident: {needs} (before: {needed})"
    else:
        yield from listed("also opens for an incident of", "no longer opens for one of")(
            before, after
        )


def _approvers(before: Approvers | None, after: Approvers | None) -> Told:
    """Say the numbers; who may approve, and how many a break takes, is said of the people."""
    asked, asks = (each.ask_need if each else 0 for each in (before, after))
    needed, needs = (each.need if each else 0 for each in (before, after))
    of = names(after.who) if after else ""
    if asks and not asked:
        yield WIDENS, f"can be asked for, with {asks} of {of}"
    elif asked and not asks:
        yield NARROWS, "can no longer be asked for"
    elif asks != asked:
        effect = WIDENS if asks < asked else NARROWS
        yield effect, f"an ask takes {_approvals(asks)} (before: {asked})"
    if needs != needed:
        effect = WIDENS if needs < needed else NARROWS
        yield effect, f"a break takes {_approvals(needs)} (before: {needed})"
    if (before is None) != (after is None) and asks == asked:
        yield OTHER, f"approvers: {of or 'none'}, whom nobody asks"


def _approvals(count: int) -> str:
    return "1 approval" if count == 1 else f"{count} approvals"


def _review(before: Any, after: Any, *, due: Mapping[str, tuple[Any, Any]]) -> Told:
    moved = {severity: pair for severity, pair in due.items() if pair[0] != pair[1]}
    if len(moved) == len(due) and len(set(moved.values())) == 1:
        yield from longer("its review is due within")(*due["other"])
    elif before.due != after.due:  # else the defaults moved, which is said of them
        for severity, pair in moved.items():
            after_ = "an incident" if severity == "other" else severity
            yield from longer(f"its review after {after_} is due within")(*pair)
    yield from field_changes(before, after, _REVIEW, partly=("due",) if moved else ())


def _mints(before: tuple[Mint, ...], after: tuple[Mint, ...]) -> Told:
    was, now = ({each.minter: each for each in mints} for mints in (before, after))
    for minter in sorted({*was, *now}):
        if minter not in was:
            yield WIDENS, f"mints at {minter} ({now[minter].platform}): {_scope(now[minter])}"
        elif minter not in now:
            yield NARROWS, f"no longer mints at {minter} ({was[minter].platform})"
        else:
            for effect, text in field_changes(was[minter], now[minter], _MINT):
                yield effect, f"at {minter}: {text}"


def _scope(mint: Mint) -> str:
    parts = [f"{name} {names(values)}" for name, values in sorted(mint.scope.items())]
    parts += [f"act {name} runs {' '.join(act.argv)}" for name, act in sorted(mint.acts.items())]
    return "; ".join(parts)


def _reach(before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]) -> Told:
    for dimension in sorted({*before, *after}):
        was, now = before.get(dimension), after.get(dimension)
        if was is not None and now is not None:
            yield from listed(f"reaches {dimension} also of", f"no longer reaches {dimension}")(
                was, now
            )
        elif dimension == MAY:
            yield (WIDENS, f"may {names(now)}") if now else (NARROWS, f"may not {names(was or ())}")
        elif now is not None:
            yield NARROWS, f"bound to {dimension} {names(now)}"
        else:
            free = "works from everywhere" if dimension == SOURCE else f"{dimension} not bound"
            yield WIDENS, f"{free} (before: {names(was or ())})"


def _acts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Told:
    if not after:
        yield WIDENS, "hands out a credential now"
    elif not before:
        yield NARROWS, "hands out no credential any more"
    for name in sorted({*before, *after}):
        if name not in before:
            yield WIDENS, f"act {name} is new; it runs {' '.join(after[name].argv)}"
        elif name not in after:
            yield NARROWS, f"act {name} is gone"
        else:
            for effect, text in field_changes(before[name], after[name], _ACT):
                yield effect, f"act {name} {text}"


def _argv(before: tuple[str, ...], after: tuple[str, ...]) -> Told:
    yield WIDENS, f"runs {' '.join(after)} (before: {' '.join(before)})"


def _seal(before: Seal | None, after: Seal | None) -> Told:
    if before is None or after is None:
        standing = after or before
        effect = NARROWS if after else WIDENS
        yield (
            effect,
            f"{'sealed' if after else 'no longer sealed'} ({value(standing and standing.name)})",
        )
    else:
        yield from field_changes(before, after, _SEAL)


_ACT = {
    "argv": _argv,
    "within_s": lambda was, now: longer("may take")(timedelta(seconds=was), timedelta(seconds=now)),
    "output": ranked("shows its output to:", (Output.NONE, Output.ASKER), WIDENS),
}
_MINT = {"platform": becomes("platform", WIDENS), "scope": _reach, "acts": _acts}
_SEAL = {
    "name": becomes("another secret is sealed", WIDENS),
    "threshold": longer("custodians to open it:", NARROWS),
    "custodians": listed("a share goes to", "no share any more of"),
}
_REVIEW = {
    "due": lambda was, now: (),  # what it comes to is said of each severity
    "second_reader": ranked("a second reader:", (False, True), NARROWS),
    "by": lambda was, now: [(OTHER, "who reviews it is listed otherwise")] * (set(was) != set(now)),
}
_LIFE = {
    "with_incident": ranked("ends with its incident:", (False, True), NARROWS),
    "idle": longer("limit of its idle time:", none=timedelta.max),
    "together": longer("limit of its asks in a row:", none=timedelta.max),
}
_WHEN = {
    "incident": _incident,
    "mfa_age": longer("a signature may be old", none=timedelta(days=999)),
    "factor": becomes("the factor is written"),
    "incident_source": ranked("takes an incident from", IncidentFrom, NARROWS),
    "ticket": ranked("a ticket is", Ticket, NARROWS),
}
_GLASS: dict[str, Say] = {
    "does": becomes("does"),
    "blast_radius": ranked("counts as", BlastRadius, NARROWS),
    "opens_gates": listed("also opens gate", "no longer opens gate"),
    "mints": _mints,
    "for_": longer("lasts at most"),
    "who": lambda was, now: (),  # who may use it is said of the people; this of the list alone
    "least": ranked("takes a factor of at least", Factor, NARROWS),
    "wait": longer("its statement is good for"),
    "silence": longer("an ask counts as unanswered after", NARROWS),
    "ahead": longer("may be asked for ahead by"),
    "life": lambda was, now: field_changes(was, now, _LIFE),
    "seal": _seal,
    "passkeys": ranked("takes passkeys for", Passkeys, WIDENS),
    "mfa_down": becomes("stands in while MFA is down"),
}
