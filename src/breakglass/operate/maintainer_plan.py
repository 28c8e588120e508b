"""Who shall sign for the organisation: from today's maintainers to others, safe at every step.

Three steps at most. A version that adds those who come; the policy signed again by those who stay
and come, since a card that only a leaver carries opens nothing; a version without those who go.
Between any two steps every glass opens, and every command of every client works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.records.trust import Trust, parse_trust
from breakglass.records.trust_handover import dying_cards
from breakglass.records.trust_lines import next_text, with_maintainers
from breakglass.tlog.note import Note

People = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Wanted:
    """The maintainers to come, each with their keys, and how many of them have to sign."""

    people: People
    needed: int


@dataclass(frozen=True)
class Planned:
    """One step.

    Attributes:
        name: ``add``, ``policy`` or ``drop``.
        says: what it changes, in words.
        text: the trust file's next version; empty for the policy.
        carried_by: the trust files whose maintainers, by their threshold, have to sign.
        done: it is so already.
    """

    name: str
    says: str
    text: str
    carried_by: tuple[Trust, ...]
    done: bool


def replaced(trust: Trust, old: str, new: str, keys: tuple[str, ...]) -> Wanted:
    """Return the maintainers with ``new`` in the place of ``old``; of one name, with other keys.

    Raises:
        RefusedError: ``old`` is no maintainer, or ``new`` has a place of their own.
    """
    if old not in trust.maintainers and new in trust.maintainers:
        return Wanted(dict(trust.maintainers), trust.maintainers_needed)  # it has been done
    _check_there(trust, old)
    standing = trust.maintainers.get(new, ())
    if new != old and standing and set(standing) != set(keys):
        raise RefusedError(
            f"{new!r} is a maintainer already, with another key; nothing was changed",
            name=ErrorName.MAINTAINERS,
            hint=f"a new key for them: breakglass trust maintainer replace {new} {new} --key FILE",
        )
    people: dict[str, tuple[str, ...]] = {}
    for name, theirs in trust.maintainers.items():
        if name == old:
            people[new] = keys
        elif name != new:
            people[name] = theirs
    return Wanted(people, trust.maintainers_needed)


def added(trust: Trust, new: str, keys: tuple[str, ...], needed: int | None) -> Wanted:
    """Return the maintainers with ``new`` beside them, or with a further key of theirs."""
    theirs = tuple(dict.fromkeys((*trust.maintainers.get(new, ()), *keys)))
    people = {**trust.maintainers, new: theirs}
    return Wanted(people, needed or trust.maintainers_needed)


def removed(trust: Trust, old: str, needed: int | None) -> Wanted:
    """Return the maintainers without ``old``.

    Raises:
        RefusedError: too few would stay; ``old`` is none.
    """
    if old not in trust.maintainers and needed in (None, trust.maintainers_needed):
        return Wanted(dict(trust.maintainers), trust.maintainers_needed)
    people = {name: keys for name, keys in trust.maintainers.items() if name != old}
    wanted = Wanted(people, needed or trust.maintainers_needed)
    if len(people) < wanted.needed:
        raise RefusedError(
            f"{len(people)} maintainers would stay and {wanted.needed} have to sign; nothing was"
            " changed",
            name=ErrorName.MAINTAINERS,
            hint=f"breakglass trust maintainer replace {old} NEW --key FILE",
        )
    return wanted


def plan(trust: Trust, cards: Mapping[str, Note], wanted: Wanted) -> tuple[Planned, ...]:
    """Return the steps from ``trust`` to ``wanted``, those done already among them.

    Args:
        trust: in force.
        cards: glass to the signed card in force.
        wanted: who shall maintain.

    Raises:
        MisconfiguredError: fewer than two of them, or fewer than have to sign.
        MalformedError: a key or a name that no trust file takes.
    """
    if not 2 <= wanted.needed <= len(wanted.people):
        raise MisconfiguredError(
            f"{wanted.needed} of {len(wanted.people)} maintainers: two at least have to sign, and"
            " no more than there are"
        )
    both = dict(trust.maintainers)
    for name, keys in wanted.people.items():
        both[name] = tuple(dict.fromkeys((*both.get(name, ()), *keys)))
    wide = _text(trust, both, trust.maintainers_needed)
    grown = trust if both == dict(trust.maintainers) else parse_trust(wide)
    final_text = _text(grown, wanted.people, wanted.needed)
    final = parse_trust(final_text)
    same = _sets(trust.maintainers) == _sets(wanted.people)
    finished = same and trust.maintainers_needed == wanted.needed
    come = _difference(wanted.people, trust.maintainers)
    go = _difference(grown.maintainers, wanted.people)
    dying = dying_cards(cards, final)
    return (
        Planned("add", f"trust file with {come or 'nobody new'}", wide, (trust, grown),
                done=grown is trust),
        Planned("policy", f"policy signed by {wanted.needed} of {', '.join(wanted.people)}", "",
                (grown, final), done=finished or not dying),
        Planned("drop", f"trust file without {go or 'nobody'}, {wanted.needed} of"
                f" {len(wanted.people)} sign", final_text, (grown, final), done=finished),
    )  # fmt: skip


def _check_there(trust: Trust, name: str) -> None:
    if name not in trust.maintainers:
        raise RefusedError(
            f"{name!r} is no maintainer; nothing was changed",
            name=ErrorName.MAINTAINERS,
            hint=f"there are: {', '.join(sorted(trust.maintainers))}",
        )


def _text(before: Trust, people: People, needed: int) -> str:
    return next_text(before, lambda lines: with_maintainers(lines, people, needed))


def _sets(people: People) -> dict[str, frozenset[str]]:
    return {name: frozenset(keys) for name, keys in people.items()}


def _difference(some: People, others: People) -> str:
    """Name who of ``some`` is not among ``others``, or has keys that are not."""
    found = []
    for name, keys in some.items():
        more = set(keys) - set(others.get(name, ()))
        if more:
            found.append(name if name not in others else f"{len(more)} key of {name}")
    return ", ".join(found)
