"""The lines of a trust file (or of a ledger's own policy) in which one party's key changes.

Two versions for a key of a process: in the first the new key stands beside the old one, in the
second alone. A witness's two keys stand in a group of their own, which either of them meets, so
they never count as two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.records.key_rollover import LOG, WITNESS
from breakglass.records.trust import Trust
from breakglass.tlog.note import VerifierKey
from breakglass.tlog.policy import NEXT

EITHER = ".either"


def next_text(trust: Trust, change: Callable[[Sequence[str]], list[str]]) -> str:
    """Return the text of the next version of a trust file, with its lines changed."""
    lines = change(trust.text.splitlines())
    lines[lines.index(f"version {trust.version}")] = f"version {trust.version + 1}"
    return "\n".join([*lines, ""])


def with_submitter(lines: Sequence[str], line: str) -> list[str]:
    """Return the lines with one submitter more, behind the others; unchanged if it is there."""
    if line in lines:
        return list(lines)
    last = max(at for at, each in enumerate(lines) if each.startswith("submitter "))
    return [*lines[: last + 1], line, *lines[last + 1 :]]


def with_maintainers(
    lines: Sequence[str], people: Mapping[str, Sequence[str]], needed: int
) -> list[str]:
    """Return the lines with ``people`` as the maintainers, each with their keys.

    Args:
        lines: of a trust file.
        people: name to keys, in the order in which they shall stand.
        needed: how many of them have to sign.
    """
    ours = [f"maintainer {name} {key}" for name, keys in people.items() for key in keys]
    at = next(at for at, each in enumerate(lines) if each.startswith("maintainer "))
    kept = [each for each in lines[at:] if each.split(" ")[0] not in ("maintainer", "maintainers")]
    return [*lines[:at], *ours, f"maintainers {needed}", *kept]


def with_both(lines: Sequence[str], party: str, new: VerifierKey) -> list[str]:
    """Return the lines with ``new`` beside the key of ``party``.

    Args:
        lines: of a trust file or a tlog-policy.
        party: ``log``, ``witness:NAME`` or a submitter's role.
        new: the key, of the same name as the one that stands.

    Raises:
        MisconfiguredError: ``rotation``; no such line, or two already.
    """
    at, words = _only(lines, party, new)
    key = 2 if words[0] != "log" else 1
    beside = [*words[:key], str(new), *words[key + 1 :]]
    if not party.startswith(WITNESS):
        return [*lines[: at + 1], " ".join(beside), *lines[at + 1 :]]
    name = words[1]
    beside[1] = f"{name}{NEXT}"
    group = f"group {name}{EITHER} any {name} {name}{NEXT}"
    behind = _renamed(lines[at + 1 :], name, f"{name}{EITHER}")
    return [*lines[: at + 1], " ".join(beside), group, *behind]


def with_one(lines: Sequence[str], party: str, kept: VerifierKey) -> list[str]:
    """Return the lines with ``kept`` as the only key of ``party``; the other one goes.

    Raises:
        MisconfiguredError: ``rotation``; ``kept`` does not stand there.
    """
    standing = _standing(lines, party, kept.name)
    if not any(str(kept) in words for _, words in standing):
        raise _wrong(party, f"no line names {kept.label!r}")
    if not party.startswith(WITNESS):
        gone = {at for at, words in standing if str(kept) not in words}
        return [line for at, line in enumerate(lines) if at not in gone]
    name = party[len(WITNESS) :]
    changed = []
    for line in lines:
        words = line.split()
        if words[:2] in (["witness", f"{name}{NEXT}"], ["group", f"{name}{EITHER}"]):
            continue
        if words[:2] == ["witness", name]:
            line = " ".join([*words[:2], str(kept), *words[3:]])
        changed.append(line)
    return _renamed(changed, f"{name}{EITHER}", name)


def _renamed(lines: Sequence[str], old: str, new: str) -> list[str]:
    """Rename a member in groups and the quorum; a group's own name and threshold stay."""
    changed = []
    for line in lines:
        words = line.split()
        if words[:1] == ["group"]:
            words[3:] = [new if word == old else word for word in words[3:]]
            line = " ".join(words)
        elif words == ["quorum", old]:
            line = f"quorum {new}"
        changed.append(line)
    return changed


def _only(lines: Sequence[str], party: str, new: VerifierKey) -> tuple[int, list[str]]:
    standing = _standing(lines, party, new.name)
    if len(standing) != 1:
        raise _wrong(party, f"{len(standing)} lines name a key {new.name!r} of it, wanted one")
    if str(new) in standing[0][1]:
        raise _wrong(party, f"key {new.label!r} already exists")
    return standing[0]


def _standing(lines: Sequence[str], party: str, name: str) -> list[tuple[int, list[str]]]:
    """Return the lines that give a party a key of this name, by their place."""
    witness = party.removeprefix(WITNESS) if party.startswith(WITNESS) else ""
    found = []
    for at, line in enumerate(lines):
        words = line.split()
        ours = (
            (party == LOG and words[:1] == ["log"])
            or (witness and words[:1] == ["witness"] and words[1] in (witness, f"{witness}{NEXT}"))
            or words[:2] == ["submitter", party]
        )
        key = words[1 if words[:1] == ["log"] else 2] if ours else ""
        if ours and key.partition("+")[0] == name:
            found.append((at, words))
    return found


def _wrong(party: str, why: str) -> MisconfiguredError:
    return MisconfiguredError(
        f"the keys of {party!r}: {why}; nothing was changed", name=ErrorName.ROTATION
    )
