"""The trust file's next version, as text: who takes whose place, and what is asked of a proof."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.records import trust_lines
from breakglass.records.trust import Trust, parse_trust
from breakglass.tlog.policy import NEXT, TlogPolicy, Witness


def next_text(
    before: Trust,
    take: Iterable[str] = (),
    drop: Iterable[str] = (),
    level: str = "",
    kinds: int = 0,
) -> str:
    """Write the next version.

    Args:
        before: the version in force.
        take: ``witness`` lines (whoever stands under that name is replaced; a new name joins the
            group of the witnesses), ``archiver`` and ``group`` lines, which replace, and
            ``submitter`` lines, which join.
        drop: names of witnesses that go.
        level: ``witnessed``, ``archived`` or ``justified``; as before if empty.
        kinds: the set of kinds that it puts in force; as before if 0.

    Raises:
        MalformedError: a line of another form, a name that is not there, or a file that does not
            hold together.
        RefusedError: ``names``: the quorum would not be met by those who cosign now, by name.
    """

    def change(standing: Sequence[str]) -> list[str]:
        lines = list(standing)
        for line in take:
            lines = _taken(lines, line.strip())
        for name in drop:
            lines = _dropped(lines, name)
        if level:
            lines[lines.index(f"level {before.level.value}")] = f"level {level}"
        if kinds:
            lines[lines.index(f"kinds {before.kinds}")] = f"kinds {kinds}"
        return lines

    text = trust_lines.next_text(before, change)
    _check_names(before, parse_trust(text))
    return text


def newcomers(before: Trust, after: Trust) -> list[Witness]:
    """Return the witnesses whose key or address is new."""
    known = {(each.vkey, each.url) for each in before.tlog.witnesses}
    return [each for each in after.tlog.witnesses if (each.vkey, each.url) not in known]


def left(before: Trust, after: Trust) -> list[Witness]:
    """Return the witnesses whose key is trusted no longer."""
    kept = {each.vkey for each in after.tlog.witnesses}
    return [each for each in before.tlog.witnesses if each.vkey not in kept]


def both(before: TlogPolicy, after: TlogPolicy) -> str:
    """Write a policy that only heads meet which meet the old one and the new one: all of both.

    The ledger is blind to what a record says: it cannot change its quorum at the one that puts the
    new trust file in force. With this one it need not know.
    """
    kept = {each.vkey: each for each in after.witnesses}
    everybody = [kept.get(each.vkey, each) for each in before.witnesses]
    names = {each.name for each in everybody}
    for each in after.witnesses:
        if each.vkey not in {other.vkey for other in everybody}:
            name = f"{each.name}{NEXT}" if each.name in names else each.name
            everybody.append(Witness(name, each.vkey, each.url))
    lines = [f"log {log.vkey}" for log in after.logs]
    lines += [
        " ".join(word for word in ("witness", each.name, str(each.vkey), each.url) if word)
        for each in everybody
    ]
    lines += [f"group everybody all {' '.join(each.name for each in everybody)}"]
    return "\n".join([*lines, "quorum everybody", ""])


def _taken(lines: Sequence[str], line: str) -> list[str]:
    words = line.split()
    if words and words[0] in ("archiver", "group") and len(words) > 1:
        at = _place(lines, words[0], words[1] if words[0] == "group" else None)
        if at is None:
            raise MalformedError(
                f"there is no group {words[1]!r} to replace", name=ErrorName.BAD_TRUST
            )
        return [*lines[:at], line, *lines[at + 1 :]]
    if words[:1] == ["submitter"]:
        return trust_lines.with_submitter(lines, line)
    if len(words) not in (3, 4) or words[0] != "witness":
        person = words[:1] in (["maintainer"], ["maintainers"])
        raise MalformedError(
            f"{line[:80]!r} is no line of a witness, an archiver or a submitter",
            name=ErrorName.BAD_TRUST,
            hint="people are changed by: breakglass trust maintainer replace OLD NEW --key FILE"
            if person
            else "take the lines that 'breakglass join', 'minter add' and 'gate add' print",
        )
    at = _place(lines, "witness", words[1])
    if at is not None:
        return [*lines[:at], line, *lines[at + 1 :]]
    last = max(at for at, each in enumerate(lines) if each.startswith("witness "))
    grown = [*lines[: last + 1], line, *lines[last + 1 :]]
    witnesses = {each.split()[1] for each in grown if each.startswith("witness ")}
    for at, each in enumerate(grown):
        word, *rest = each.split()
        if word == "group" and set(rest[2:]) <= witnesses:
            grown[at] = f"{each} {words[1]}"
            return grown
    raise MalformedError("no group of witnesses alone to put it into", name=ErrorName.BAD_TRUST)


def _dropped(lines: Sequence[str], name: str) -> list[str]:
    at = _place(lines, "witness", name)
    if at is None:
        raise MalformedError(f"there is no witness {name!r} to drop", name=ErrorName.BAD_TRUST)
    left = [*lines[:at], *lines[at + 1 :]]
    return [
        " ".join(word for word in each.split() if word != name)
        if each.startswith("group ")
        else each
        for each in left
    ]


def _place(lines: Sequence[str], word: str, name: str | None) -> int | None:
    for at, line in enumerate(lines):
        words = line.split()
        if words and words[0] == word and (name is None or words[1] == name):
            return at
    return None


def _check_names(before: Trust, after: Trust) -> None:
    """Refuse a quorum that the names of now do not meet.

    Records that follow the trust record in the same commit were cosigned under the names of the
    version before, and are judged by the quorum of the next.
    """
    names = [each.name for each in before.tlog.witnesses]
    archived = after.archiver in names
    if not archived or not after.tlog.quorum_met(names):
        raise RefusedError(
            "the next quorum is not met by the names of this one; nothing was written",
            name=ErrorName.NAMES,
            hint="keep the places' names: a new key takes the place of an old one under its name"
            " (join … --name PLACE); or add first, and drop in a version of its own",
        )
