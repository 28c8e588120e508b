"""What a next policy changes of people and groups themselves: keys, days, names, members."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from breakglass.policy.certification import Then
from breakglass.policy.change import (
    Change,
    Effect,
    Say,
    Told,
    becomes,
    counted,
    field_changes,
    listed,
    longer,
    several,
)
from breakglass.policy.denial_reasons import names
from breakglass.policy.parse import Bundle
from breakglass.policy.people import GROUP, Certified, Directory
from breakglass.records.signing.key_types import SOFTWARE_TYPES

WIDENS, NARROWS, OTHER = Effect


def people_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Yield who joins and leaves, whose keys and days change, and what becomes of groups."""
    was, now = old.directory.people, new.directory.people
    joined = {
        name: f"{name} joins, with {_keys(now[name].keys)}" for name in now if name not in was
    }
    yield from several(WIDENS, joined, "join")
    yield from several(
        NARROWS, {name: f"{name} leaves" for name in was if name not in now}, "leave"
    )
    # One change that many share (all get new keys) is said once, by its number.
    said: dict[tuple[Effect, str], dict[str, str]] = {}
    for name in was:
        if name in now and was[name] != now[name]:
            for effect, text in field_changes(was[name], now[name], _PERSON, but=("name",)):
                kind = text.partition(":")[0]
                texts = said.setdefault((effect, kind), {})
                texts[name] = f"{texts[name]}; {text}" if name in texts else f"{name}: {text}"
    for (effect, kind), found in said.items():
        yield from several(effect, found, f"each have a change: {kind}")
    refuses = new.certify is not None and new.certify.then is Then.REFUSE
    yield from _groups(old.directory, new.directory, WIDENS if refuses else OTHER)


def fingerprint(key: str) -> str:
    """Write a key as people compare it: ``SHA256:…`` as ``ssh-keygen -l`` does, and its kind.

    >>> key = "AAAAC3NzaC1lZDI1NTE5AAAAILA99s7pMuL4aED0bzqXkto+PQ1OvA7ldyNk8uYabZS3"
    >>> fingerprint(f"ssh-ed25519 {key}")
    'SHA256:DRdKAU2ZWst4FYBj1lojqDBe/c8k+7IHkmz5Tx/dqEg (software key)'
    """
    kind, _, rest = key.partition(" ")
    blob = base64.b64decode(rest.split()[-1])
    shown = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    said = {"passkey": "passkey"}.get(kind, "security key")
    return f"SHA256:{shown} ({'software key' if kind in SOFTWARE_TYPES else said})"


def _keys(keys: Iterable[str]) -> str:
    found = [fingerprint(key) for key in keys]
    return f"{'key' if len(found) == 1 else 'keys'} {names(found)}"


def _key_changes(before: tuple[str, ...], after: tuple[str, ...]) -> Told:
    if more := [fingerprint(key) for key in after if key not in before]:
        yield WIDENS, f"new key: {names(more)}"
    if less := [fingerprint(key) for key in before if key not in after]:
        yield NARROWS, f"key taken away: {names(less)}"


def _groups(old: Directory, new: Directory, certified: Effect) -> Iterator[Change]:
    """Yield what becomes of groups; ``certified`` is what a later certification does."""
    say = _GROUP | {"certified": _certified(certified)}
    for name in sorted({*old.groups, *new.groups}):
        was, now = old.groups.get(name), new.groups.get(name)
        if was is None and now is not None:
            roster = f", from roster {now.roster}" if now.roster else ""
            who = counted(new.everybody([GROUP + name]))
            yield Change(OTHER, f"new group {name}: {who}{roster}")
        elif now is None:
            yield Change(OTHER, f"group {name} is gone")
        elif was is not None:
            yield from _members(name, old, new)
            # Who can be of it is said; nobody named beside a roster is everybody.
            same = old.everybody([GROUP + name]) == new.everybody([GROUP + name])
            for effect, text in field_changes(was, now, say, but=() if same else ("members",)):
                yield Change(effect, f"group {name}: {text}")


def _members(name: str, old: Directory, new: Directory) -> Iterator[Change]:
    was, now = (set(each.everybody([GROUP + name])) for each in (old, new))
    if more := sorted(now - was):
        yield Change(WIDENS, f"group {name}: {counted(more)} can now be of it")
    if less := sorted(was - now):
        yield Change(NARROWS, f"group {name}: {counted(less)} can no longer be of it")


def _certified(effect: Effect) -> Say:
    def day(said: Certified | None) -> date:
        return said.on if said else date.min

    def words(said: Certified | None) -> str:
        return f"by {said.by} on {said.on}" if said else "by nobody"

    def say(was: Certified | None, now: Certified | None) -> Told:
        later = effect if day(now) > day(was) else effect.opposite
        text = f"certified {words(now)} (before: {words(was)})"
        yield OTHER if day(now) == day(was) else later, text

    return say


_PERSON = {
    "full_name": becomes("their name"),
    "keys": _key_changes,
    "aliases": listed("also known as:", "no longer known as:"),
    "oidc": becomes("signs in as", WIDENS),
    "starts": longer("counts from:", NARROWS, none=date.min),
    "until": longer("counts until:", none=date.max),
    "age": becomes("their shares are encrypted to", WIDENS),
}
_GROUP = {
    "members": listed("members, with", "members, without", OTHER),
    "roster": becomes("its roster comes from", WIDENS),
    "at_most_old": longer("its roster may be old", none=timedelta(0)),
    "fallback": listed("without a fresh roster also", "without a fresh roster no longer"),
}
