"""Policies: which logs are believed, and whose cosignatures are enough.

Source: C2SP tlog-policy (untagged; text of June 2026).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.tlog.note import COSIGNATURE, ED25519, ML_DSA_44, VerifierKey
from breakglass.tlog.spelling import exact_decimal

NO_QUORUM = "none"
NEXT = ".next"
"""Behind a witness's name: the key that is about to take its place, and cosigns beside it."""

_UNWRITABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class LogKey:
    """One key of a log that is believed; its name is the log's origin."""

    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True)
class Witness:
    """A cosigner; ``name`` is this policy's word for it, ``vkey.name`` its own."""

    name: str
    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True)
class Group:
    """Met when ``needed`` of ``members`` are; a member is a witness or an earlier group."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class TlogPolicy:
    """A policy that was read; every name in it is defined, and no key stands twice.

    Attributes:
        logs: any one of them suffices; may be empty, and then no head is believed.
        witnesses: in the file's order.
        groups: each after those it names.
        quorum: a witness, a group, or ``none``.
    """

    logs: tuple[LogKey, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def quorum_met(self, names: Collection[str]) -> bool:
        """Say whether the cosignatures of these witnesses are what the policy asks for.

        Args:
            names: this policy's names of witnesses; others, and names of groups, do not count.
        """
        met = {witness.name for witness in self.witnesses if witness.name in names}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.needed:
                met.add(group.name)
        return self.quorum == NO_QUORUM or self.quorum in met

    @property
    def text(self) -> str:
        """The policy in one canonical spelling: logs, witnesses, groups by number, quorum."""
        lines = [_words("log", str(log.vkey), log.url) for log in self.logs]
        lines += [_words("witness", w.name, str(w.vkey), w.url) for w in self.witnesses]
        lines += [_words("group", g.name, str(g.needed), *g.members) for g in self.groups]
        return "\n".join([*lines, _words("quorum", self.quorum), ""])


def parse_policy(text: str) -> TlogPolicy:
    """Read a policy file.

    Raises:
        MalformedError: as ``parse_policy_lines``.
    """
    return parse_policy_lines(text.removesuffix("\n").split("\n"))


def parse_policy_lines(lines: Iterable[str]) -> TlogPolicy:
    """Read a policy from its lines, given without line feeds.

    Raises:
        MalformedError: ``bad_policy``, with the number of the line: an unknown word, a name that
            is not defined yet or is defined twice, a member of two groups, a key that is
            there twice (whatever its name), a key of a kind that cannot do this work, a threshold
            that cannot be met, or not exactly one quorum.
    """
    draft = _Draft()
    for number, line in enumerate(lines, start=1):
        try:
            draft.take(line)
        except MalformedError as error:
            raise MalformedError(
                f"policy line {number}: {error}", name=ErrorName.BAD_POLICY
            ) from error
    if draft.quorum is None:
        raise MalformedError("policy: the line 'quorum NAME' is missing", name=ErrorName.BAD_POLICY)
    return TlogPolicy(tuple(draft.logs), tuple(draft.witnesses), tuple(draft.groups), draft.quorum)


@dataclass
class _Draft:
    """What the lines so far define."""

    logs: list[LogKey] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    keys: set[bytes] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def take(self, line: str) -> None:
        if _UNWRITABLE.search(line):
            raise MalformedError("a control character")
        words = re.split("[ \t]+", line.strip(" \t"))
        if not words[0] or words[0].startswith("#"):
            return
        match words:
            case ["log", key, *url] if len(url) < 2:
                self.logs.append(LogKey(self._key(key, "log", ED25519), *url))
            case ["witness", name, key, *url] if len(url) < 2:
                vkey = self._key(key, "witness", COSIGNATURE)
                self.witnesses.append(Witness(self._define(name), vkey, *url))
            case ["group", name, threshold, *members] if members:
                self._take_members(members)
                needed = _needed(threshold, len(members))
                self.groups.append(Group(self._define(name), needed, tuple(members)))
            case ["quorum", name] if self.quorum is None:
                if name != NO_QUORUM:
                    self._check_defined(name)
                self.quorum = name
            case _:
                raise MalformedError(f"{line[:60]!r} is unknown, given twice, or of another form")

    def _key(self, text: str, what: str, kind: int) -> VerifierKey:
        key = VerifierKey.parse(text)
        if key.kind not in (kind, ML_DSA_44):
            raise MalformedError(f"a {what}'s key is not of type 0x{key.kind:02x}")
        # By raw key, not by name: one key under two names would count twice.
        if key.public in self.keys:
            raise MalformedError(f"the key of {key.name!r} already exists")
        self.keys.add(key.public)
        return key

    def _define(self, name: str) -> str:
        if name == NO_QUORUM or name in self.names:
            raise MalformedError(f"name {name[:60]!r} is taken")
        self.names.add(name)
        return name

    def _check_defined(self, name: str) -> None:
        if name not in self.names:
            raise MalformedError(f"name {name[:60]!r} is not defined above")

    def _take_members(self, members: list[str]) -> None:
        for member in members:
            self._check_defined(member)
            if member in self.members:
                raise MalformedError(f"{member[:60]!r} is a member already")
            self.members.add(member)


def _needed(threshold: str, members: int) -> int:
    if threshold in ("any", "all"):
        return 1 if threshold == "any" else members
    needed = exact_decimal(threshold, "threshold")
    if not 1 <= needed <= members:
        raise MalformedError(f"{needed} of {members} members cannot be asked for")
    return needed


def _words(*words: str | None) -> str:
    return " ".join(word for word in words if word is not None)
