"""What a next policy changes, in sentences; what widens power comes first.

Total: whatever a bundle says, a bundle that says something else has at least one sentence here. A
text that changed and means the same is said to be just that.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from breakglass.policy.change import Change, Effect
from breakglass.policy.denial_reasons import names
from breakglass.policy.glass_changes import glass_changes
from breakglass.policy.organisation_changes import organisation_changes
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.policy.people_changes import people_changes
from breakglass.policy.rights_changes import right_changes

_COLUMNS = 100
_LABEL = 10


def difference(old: Bundle, new: Bundle) -> tuple[Change, ...]:
    """Return what changes for whom, what widens power first; empty if nothing does.

    Args:
        old: the policy in force.
        new: the one that may follow.
    """
    found = [
        *right_changes(old, new),
        *glass_changes(old, new),
        *people_changes(old, new),
        *organisation_changes(old, new),
    ]
    order = list(Effect)
    return tuple(sorted(_together(found), key=lambda each: order.index(each.effect)))


def say_difference(
    before: Mapping[str, bytes], after: Mapping[str, bytes], columns: int = _COLUMNS
) -> list[str]:
    """Write the difference of two bundles for who is about to sign: a head, then the sentences.

    Args:
        before: the files of the policy in force; empty where none is.
        after: the files of the one that may follow.
        columns: how wide a line may be.

    Raises:
        MalformedError: ``after`` or ``before`` is no policy.
    """
    new = parse_bundle(after)
    if not before:
        return [f"policy {new.version} is the first: there is nothing to compare it with"]
    old = parse_bundle(before)
    found = difference(old, new)
    if not found:
        text = "the very same text" if before == after else "another text that means the same"
        return [f"policy {old.version} stays as it is: {text}"]
    return [_head(old, new, found), *(line for each in found for line in _lines(each, columns))]


def _head(old: Bundle, new: Bundle, found: Collection[Change]) -> str:
    head = f"policy {old.version} -> {new.version}"
    if replace(old, version=new.version) == new:
        return f"{head}: a new number, and the very same rules"
    effects = [each.effect for each in found]
    widens, narrows = effects.count(Effect.WIDENS), effects.count(Effect.NARROWS)
    other = len(effects) - widens - narrows
    return (
        f"{head}: what widens power {widens}, what narrows it {narrows}, what does neither {other}"
    )


def _lines(change: Change, columns: int) -> list[str]:
    first, *more = str(change).split("\n")
    wrapped = textwrap.wrap(first, columns - _LABEL, break_long_words=False, break_on_hyphens=False)
    labels = [change.effect.value, *[""] * (len(wrapped) - 1)]
    said = [f"{label:<{_LABEL}}{line}" for label, line in zip(labels, wrapped, strict=True)]
    return said + [f"{'':<{_LABEL}}  {line}" for line in more]


def _together(found: Iterable[Change]) -> list[Change]:
    """Say what several glasses have in common once, with their names."""
    glasses: dict[tuple[Effect, str, str, bool], list[str]] = {}
    for each in found:
        key = (each.effect, each.text, each.end, bool(each.glass))
        glasses.setdefault(key, []).append(each.glass)
    return [
        Change(effect, text, names(dict.fromkeys(of)) if named else "", end)
        for (effect, text, end, named), of in glasses.items()
    ]
