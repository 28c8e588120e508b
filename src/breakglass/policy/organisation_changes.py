"""What a next policy changes around its glasses: gates, alerts, who stops and who signs, Cedar."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from breakglass.policy.certification import Then
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
from breakglass.policy.denial_reasons import names
from breakglass.policy.gates import Fail
from breakglass.policy.networks import Networks, smallest
from breakglass.policy.parse import Bundle, Quorum
from breakglass.policy.review_rules import Overdue
from breakglass.policy.standings import standings
from breakglass.records.signing.signature import Factor

WIDENS, NARROWS, OTHER = Effect
_LINES_SHOWN = 12
_ELSEWHERE = ("directory", "glasses")
"""Fields of a bundle that other files of words tell."""


def organisation_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield what changes beside glasses and people."""
    say = _BUNDLE | {
        "kill": _people_of(old, new, "may now stop grants", "may no longer stop grants"),
        "networks": _networks(old, new),
        "readers": _people_of(old, new, "may now read every grant", "no longer reads every grant"),
    }
    for effect, text in (*field_changes(old, new, say, but=_ELSEWHERE), *_sides(old, new)):
        yield Change(effect, text)


def _sides(old: Bundle, new: Bundle) -> Told:
    """Name the files that begin or cease to decide glasses, as no gate's way past it any more."""
    for name in sorted((old.sanctioned_files ^ new.sanctioned_files) & {*old.cedar} & {*new.cedar}):
        decides = name in old.sanctioned_files
        state, mark, of = ("now decides", "+", new) if decides else ("no longer decides", "-", old)
        lines = [f"{mark} {line}" for line in of.cedar[name].splitlines() if line.strip()]
        # A permit that comes gives power, and so does a forbid that goes: no words say which.
        yield WIDENS, "\n".join([f"{name} {state} glasses; read its lines:", *_shown(lines)])


def _people_of(old: Bundle, new: Bundle, gained: str, lost: str) -> Say:
    def say(before: tuple[str, ...], after: tuple[str, ...]) -> Told:
        was, now = standings(old.directory, before), standings(new.directory, after)
        if more := [who for who in now if was.get(who) != now[who]]:
            yield WIDENS, f"{names(more)} {gained}"
        if less := [who for who in was if who not in now]:
            yield NARROWS, f"{names(less)} {lost}"

    return say


def _named(what: str, came: Effect, of: Callable[[Any], str], each: Mapping[str, Say] | Say) -> Say:
    """Say what a mapping of names to things gains, loses and changes.

    Args:
        what: one of them, in words.
        came: what a new one does; one that is gone does the opposite.
        of: says a new one.
        each: the words of its fields, or of the whole of it.
    """

    def say(before: Mapping[str, Any], after: Mapping[str, Any]) -> Told:
        for name in sorted({*before, *after}):
            if name not in before:
                yield came, f"new {what} {name}: {of(after[name])}"
            elif name not in after:
                yield came.opposite, f"{what} {name} is gone"
            elif before[name] != after[name]:
                told = (
                    each(before[name], after[name])
                    if callable(each)
                    else field_changes(before[name], after[name], each)
                )
                for effect, text in told:
                    yield effect, f"{what} {name}: {text}"

    return say


def _quorum(what: str) -> Say:
    fields = {
        "need": longer(f"{what} needed:", NARROWS),
        "of": listed(f"new {what}:", f"no longer {what}:"),
    }

    def say(before: Quorum | None, after: Quorum | None) -> Told:
        if before is not None and after is not None:
            yield from field_changes(before, after, fields)
        elif after is not None:
            yield WIDENS, f"{what}: {after.need} of {names(after.of)} (before: none)"
        elif before is not None:
            yield NARROWS, f"{what}: none (before: {before.need} of {names(before.of)})"

    return say


def _down(before: Any, after: Any) -> Told:
    if before is None or after is None:
        effect = WIDENS if after else NARROWS
        yield effect, f"there is {'now a' if after else 'no longer a'} path for when MFA is down"
        return
    yield from field_changes(before, after, _DOWN)


def _certify(before: Any, after: Any) -> Told:
    if before is None or after is None:
        rule = after or before
        effect = NARROWS if after else WIDENS
        state = "are certified" if after else "need no longer be certified"
        yield effect, f"groups {state} every {value(rule.every)}, else {rule.then}"
        return
    yield from field_changes(before, after, _CERTIFY)


def _factors(before: Any, after: Any) -> Told:
    fresh = ranked("a fresh signature takes at least factor", Factor, NARROWS)
    return field_changes(before, after, {"fresh": fresh, "down": _down})


def _deadlines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Told:
    for severity in sorted({*before, *after}):
        was, now = (each.get(severity, each["other"]) for each in (before, after))
        if before.get(severity) != after.get(severity):
            after_ = "an incident" if severity == "other" else severity
            yield from longer(f"a review after {after_} is due within")(was, now)


def _cedar(before: Mapping[str, str], after: Mapping[str, str]) -> Told:
    """Name the files that changed, with their lines: no words say what Cedar says."""
    for name in sorted({*before, *after}):
        was, now = before.get(name, ""), after.get(name, "")
        if was == now and (name in before) == (name in after):
            continue
        found = [
            each
            for each in difflib.ndiff(was.splitlines(), now.splitlines())
            if each[:1] in {"+", "-"} and each[2:].strip()
        ]
        state = "new" if name not in before else "gone" if name not in after else "changed"
        yield WIDENS, "\n".join([f"{name} is {state}; read its lines:", *_shown(found)])


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - _LINES_SHOWN
    return lines[:_LINES_SHOWN] + ([f"… and {more} lines more"] if more > 0 else [])


def _networks(old: Bundle, new: Bundle) -> Say:
    # Cedar may compare the name of where somebody is, to let in or to keep out.
    read = any("network" in text for each in (old, new) for text in each.cedar.values())
    effect = WIDENS if read else OTHER

    def say(before: Networks, after: Networks) -> Told:
        told = [*_named("network", effect, value, listed("gains", "loses"))(before, after)]
        yield from ((effect, text) for _, text in told)
        blocks = {each for networks in (before, after) for of in networks.values() for each in of}
        for block in sorted(blocks, key=str):
            was, now = (smallest(networks, block) for networks in (before, after))
            if was and now and was != now:
                yield effect, f"addresses {block} are of network {now} (before: {was})"

    return say


def _alerts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Told:
    """Say the classes; what it comes to for each glass is said of the glass."""
    for name in sorted({*before, *after}):
        was, now = before.get(name, ()), after.get(name, ())
        said = list(listed("also goes to", "no longer goes to", NARROWS)(was, now))
        for effect, text in said:
            yield effect, f"news of class {name} {text}"
        if was != now and not said:
            yield OTHER, f"news of class {name} goes to the same channels in another order"


_DOWN = {
    "approved_by": becomes("who declares that MFA is down", WIDENS),
    "glasses": listed("while MFA is down also", "while MFA is down no longer"),
    "for_": longer("while MFA is down a grant lasts at most"),
}
_CERTIFY = {
    "every": longer("groups are certified every"),
    "then": ranked("what follows on an old certification:", Then, NARROWS),
}
_GATE = {
    "protects": becomes("protects"),
    "owner": becomes("its owner", WIDENS),
    "fail": ranked("when its check cannot be evaluated it fails", (Fail.OPEN, Fail.CLOSED)),
    "reason": becomes("the reason why it fails open"),
    "could_not_evaluate_after": longer("its check may take", none=timedelta(0)),
    "siblings": listed("new sibling", "sibling gone:", OTHER),
    "sanctioned": lambda was, now: listed("new way past it:", "way past it gone:")(
        *([f"{each.when} ({each.cedar})" for each in ways] for ways in (was, now))
    ),
}
_MACHINE = {
    "glass": becomes("acts with another glass", WIDENS),
    "condition": becomes("acts when", WIDENS),
    "prometheus": becomes("asks another Prometheus", WIDENS),
    "sustained": longer("waits for", NARROWS),
    "cool_down": longer("rests for", NARROWS),
    "at_most": longer("acts at most so often:"),
    "per": longer("that often per", NARROWS),
    "minter": becomes("acts at minter", WIDENS),
    "act": becomes("runs act", WIDENS),
    "key": becomes("signs with another key", WIDENS),
}
_CHANNEL = {
    "type": becomes("is of another type", WIDENS),
    "target": becomes("goes elsewhere", WIDENS),
    "to": listed("mail also goes to", "mail no longer goes to", NARROWS),
}
_SOURCE = {
    "type": becomes("is of another type", WIDENS),
    "secret_sha256": becomes("is known by another secret", WIDENS),
    "key": becomes("is known by another key", WIDENS),
}
_REVIEWS = {
    "default": _deadlines,
    "holidays": listed("no working day:", "a working day again:"),
    "calendar": becomes("holidays of"),
    "overdue": ranked("an overdue review:", (Overdue.REMIND, Overdue.ONE_MORE_PERSON)),
}
_BUNDLE: dict[str, Say] = {
    "version": becomes("version"),
    "organisation": becomes("organisation"),
    "factors": _factors,
    "reasons": _named("reason", OTHER, value, becomes("means")),
    "incident_sources": _named("incident source", WIDENS, lambda each: each.type, _SOURCE),
    "gates": _named("gate", NARROWS, lambda each: each.protects, _GATE),
    "machines": _named(
        "machine", WIDENS, lambda each: f"may run {each.act} with {each.glass}", _MACHINE
    ),
    "channels": _named("channel", NARROWS, lambda each: each.type, _CHANNEL),
    "alerts": _alerts,
    "custodians": _quorum("custodians"),
    "maintainers": _quorum("maintainers"),
    "reviews": lambda was, now: field_changes(was, now, _REVIEWS),
    "certify": _certify,
    "cases": _named("case", OTHER, lambda each: f"{each.who}, {each.glass}: {each.wanted}", {}),
    "cedar": _cedar,
}
