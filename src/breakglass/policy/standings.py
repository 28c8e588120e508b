"""Who is meant by a list of people and groups, and on what condition: always, or by a roster."""

from __future__ import annotations

from collections.abc import Iterable

from breakglass.policy.people import GROUP, Directory, Rosters


def standings(directory: Directory, refs: Iterable[str]) -> dict[str, str]:
    """Return everybody who can be meant by ``refs``, each with the condition in words.

    The condition is empty for who always counts, else `` while on the roster of group:NAME`` and
    `` while group:NAME has no fresh roster``.

    >>> from breakglass.policy.people import Group, Person
    >>> people = {name: Person(name, name, ()) for name in ("mira", "sam")}
    >>> leads = Group("leads", ("mira",), "pagerduty:P", None, ("sam",))
    >>> standings(Directory(people, {"leads": leads}, {n: n for n in people}), ["group:leads"])
    {'mira': ' while on the roster of group:leads', 'sam': ' while group:leads has no fresh roster'}
    """
    wanted = tuple(refs)
    empty: Rosters = {name: () for name, group in directory.groups.items() if group.roster}
    found = dict.fromkeys(directory.present(wanted, empty), "")
    if not empty:
        return found
    everybody = tuple(directory.people)
    conditions: dict[str, list[str]] = {}
    for name in empty:
        on_it = directory.present(wanted, {**empty, name: everybody})
        stale = {other: () for other in empty if other != name}
        for who in on_it:
            conditions.setdefault(who, []).append(f"while on the roster of {GROUP}{name}")
        for who in directory.present(wanted, stale):
            conditions.setdefault(who, []).append(f"while {GROUP}{name} has no fresh roster")
    for who in directory.everybody(wanted):
        # What only two rosters together make true is said as what it is at least.
        said = conditions.get(who, ["while rosters say so"])
        found.setdefault(who, " " + " or ".join(said))
    return dict(sorted(found.items()))
