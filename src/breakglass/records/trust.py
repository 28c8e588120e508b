"""The trust file: whom a party believes, in a version that can only go up.

A signed note of ``breakglass.dev/trust/v1`` and lines: C2SP tlog-policy lines (logs, witnesses,
groups, the quorum) and ours. It is accepted only if signed by the threshold of maintainers of the
version before, in the namespace ``breakglass-trust@v1``. Source: docs/spec/trust.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from breakglass.canonical import Json
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records import kind_sets
from breakglass.records.encoding.text_types import Digest
from breakglass.records.encoding.whole_form import text_form
from breakglass.records.signing.person_key import check_keys
from breakglass.records.signing.signature import TRUST_NAMESPACE, people_who_signed
from breakglass.records.signing.sshsig import SshPublicKey
from breakglass.tlog.note import ED25519, Note, VerifierKey
from breakglass.tlog.policy import NO_QUORUM, TlogPolicy, parse_policy_lines

HEADER = "breakglass.dev/trust/v1"
_TLOG_WORDS = frozenset({"log", "witness", "group", "quorum"})
_ROLES = frozenset({"broker", "minter", "monitor", "gate"})


class Level(StrEnum):
    """What a verifier asks of a proof, beside the log's signature and the quorum."""

    WITNESSED = "witnessed"
    ARCHIVED = "archived"  # and the archiver's cosignature: beyond deletion
    JUSTIFIED = "justified"  # and the monitor's own decision that policy allowed it


@dataclass(frozen=True)
class Role:
    """What a submitter may state: ``broker``, ``monitor``, ``minter:NAME`` or ``gate:NAME``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True)
class Succession:
    """The log that this one follows, and how much of it stays true.

    ``size`` is the last accepted size: entries from there on, whoever signed them, are nobody's.
    """

    origin: str
    genesis: Digest
    size: int
    root: Digest


@dataclass(frozen=True)
class Trust:
    """A trust file as read; ``text`` is what was signed."""

    version: int
    kinds: int
    genesis: Digest
    tlog: TlogPolicy
    archiver: str
    level: Level
    submitters: Mapping[VerifierKey, Role]
    maintainers: Mapping[str, tuple[str, ...]]
    maintainers_needed: int
    custodians: Mapping[str, tuple[str, ...]]
    custodians_needed: int
    skew: timedelta
    policy_at_least: int
    door: bool
    succeeds: Succession | None
    text: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def form(self) -> Json:
        """Return the text, for whole states."""
        return self.text

    @classmethod
    def read_form(cls, form: Json) -> Trust:
        """Read what ``form`` returned.

        Raises:
            MalformedError: no trust file.
        """
        return parse_trust(text_form(form))

    def names_log(self, origin: str) -> bool:
        """Say whether ``origin`` is a log that this file names."""
        return any(log.vkey.name == origin for log in self.tlog.logs)

    def submitter(self, name: str, key_id: bytes) -> tuple[VerifierKey, Role] | None:
        """Return the key and role behind a note line, if this file names them."""
        return self._by_line.get((name, key_id))

    @cached_property
    def _by_line(self) -> dict[tuple[str, bytes], tuple[VerifierKey, Role]]:
        return {(key.name, key.key_id): (key, role) for key, role in self.submitters.items()}


def parse_trust(text: str) -> Trust:
    """Read a trust file's text; whether it may be believed is for ``accept_trust`` to say.

    Raises:
        MalformedError: with the line: an unknown word, a line missing or given twice, fewer than
            two maintainers asked, ``quorum none``, or an archiver that the quorum does not know.
    """
    lines = text.split("\n")
    if lines[0] != HEADER or lines[-1]:
        raise MalformedError(
            f"trust file: expected the first line {HEADER!r} and a line end",
            name=ErrorName.BAD_TRUST,
        )
    draft = _Draft()
    tlog_lines: list[str] = []
    for number, line in enumerate(lines[1:-1], start=2):
        words = line.split(" ")
        if words != line.split():
            # Else a comment could stand behind a key, or a reader find other words than we.
            raise MalformedError(
                f"trust file line {number}: words are separated by one space each",
                name=ErrorName.BAD_TRUST,
            )
        if words[0] in _TLOG_WORDS:
            tlog_lines.append(line)
        else:
            tlog_lines.append("")  # keeps the line numbers of the tlog-policy reader's errors
            draft.take(number, words)
    try:
        tlog = parse_policy_lines(["", *tlog_lines])
    except MalformedError as error:
        raise MalformedError(f"trust file: {error}", name=ErrorName.BAD_TRUST) from error
    return draft.finish(tlog, text)


def accept_trust(note: Note, before: Trust | None) -> Trust:
    """Read a trust file and believe it, if the maintainers of the version before signed it.

    Args:
        note: the file.
        before: the version that is believed now; ``None`` takes the file on first use, when it
            must carry the threshold of its own maintainers. Who knows the log's genesis takes the
            first file by ``accept_first_trust``.

    Returns:
        the file; ``before`` itself if it is the same text again, whoever signed it this time.

    Raises:
        MalformedError: see ``parse_trust``.
        UnprovenError: see ``check_next_trust``.
        UnknownKindsError: this software does not know the kinds that it puts in force.
    """
    trust = check_next_trust(note, before)
    kind_sets.check_known(trust.kinds, trust.version)
    return trust


def check_next_trust(note: Note, before: Trust | None) -> Trust:
    """Read a trust file as ``accept_trust`` does, whatever kinds it puts in force.

    Raises:
        MalformedError: see ``parse_trust``.
        UnprovenError: ``trust_order`` for a lower version, another text under the same number, a
            version left out, a ``policy-at-least`` or ``kinds`` that goes down, or ``kinds`` that
            rises by more than one; ``trust_genesis`` for another genesis, unless the file says
            that its log follows that one's; ``trust_succession`` where it does and may not;
            ``trust_signatures`` for too few maintainers.
    """
    trust = parse_trust(note.text)
    if before is not None:
        if trust.text == before.text:
            return before
        follows = trust.succeeds is not None and trust.succeeds.genesis == before.genesis
        if follows:
            _check_successor(trust, before)
        elif trust.genesis != before.genesis:
            raise UnprovenError("trust file names another genesis", name=ErrorName.TRUST_GENESIS)
        elif trust.succeeds != before.succeeds:
            raise UnprovenError(
                "trust file says otherwise of the log that this one follows",
                name=ErrorName.TRUST_SUCCESSION,
            )
        elif trust.version != before.version + 1:
            raise UnprovenError(
                f"trust file of version {trust.version} cannot follow version {before.version}",
                name=ErrorName.TRUST_ORDER,
                hint="take the versions in order: breakglass trust update",
            )
        if trust.policy_at_least < before.policy_at_least:
            raise UnprovenError(
                f"trust file takes cards of policy {trust.policy_at_least} again;"
                f" {before.policy_at_least} was asked for",
                name=ErrorName.TRUST_ORDER,
            )
        # Who was there keeps what it judged; whoever came later would fold the log otherwise.
        if not before.kinds <= trust.kinds <= before.kinds + 1:
            raise UnprovenError(
                f"trust file of kinds {trust.kinds} cannot follow kinds {before.kinds}; they rise"
                " by one, or stay",
                name=ErrorName.TRUST_ORDER,
            )
    judge = before or trust
    _check_signed(note, trust, judge.maintainers, judge.maintainers_needed)
    return trust


def _check_successor(trust: Trust, before: Trust) -> None:
    """Check that a new log's first trust file may take the place of the old log's last one."""
    said = trust.succeeds
    keys = {log.vkey.public for log in before.tlog.logs}
    if trust.version != 1:
        raise UnprovenError("the first trust file is version 1", name=ErrorName.TRUST_ORDER)
    if said is None or not before.names_log(said.origin):
        raise UnprovenError(
            "this log is said to follow another log than the one that is trusted",
            name=ErrorName.TRUST_SUCCESSION,
        )
    if any(log.vkey.public in keys for log in trust.tlog.logs):
        raise UnprovenError(
            f"a key of log {said.origin!r} stands in the trust file of the log that follows it",
            name=ErrorName.TRUST_SUCCESSION,
        )


def accept_first_trust(
    note: Note, genesis: str, maintainers: Mapping[str, tuple[str, ...]], needed: int
) -> Trust:
    """Take the first trust file of a log, by ``check_first_trust``.

    Raises:
        MalformedError, UnprovenError: see there.
        UnknownKindsError: this software does not know the kinds that it puts in force.
    """
    trust = check_first_trust(note, genesis, maintainers, needed)
    kind_sets.check_known(trust.kinds, trust.version)
    return trust


def check_first_trust(
    note: Note, genesis: str, maintainers: Mapping[str, tuple[str, ...]], needed: int
) -> Trust:
    """Read the first trust file of a log, which the genesis's own maintainers must have signed.

    Args:
        note: the file.
        genesis: SHA-256 of the genesis record's text.
        maintainers: as the genesis names them.
        needed: how many of them.

    Raises:
        MalformedError: see ``parse_trust``.
        UnprovenError: ``trust_genesis`` for another genesis or other maintainers than it names;
            ``trust_order`` for another version than 1; ``trust_signatures``.
    """
    trust = parse_trust(note.text)
    if trust.genesis != genesis:
        raise UnprovenError(
            "the first trust file names another genesis", name=ErrorName.TRUST_GENESIS
        )
    if trust.version != 1:
        raise UnprovenError("the first trust file is version 1", name=ErrorName.TRUST_ORDER)
    named = {name: set(keys) for name, keys in maintainers.items()}
    found = {name: set(keys) for name, keys in trust.maintainers.items()}
    if (named, needed) != (found, trust.maintainers_needed):
        raise UnprovenError(
            "the first trust file names other maintainers than the genesis",
            name=ErrorName.TRUST_GENESIS,
        )
    _check_signed(note, trust, maintainers, needed)
    return trust


def _check_signed(
    note: Note, trust: Trust, maintainers: Mapping[str, tuple[str, ...]], needed: int
) -> None:
    signed = people_who_signed(note, maintainers, TRUST_NAMESPACE)
    if len(signed) < needed:
        raise UnprovenError(
            f"trust file version {trust.version}: {len(signed)} of {needed} maintainers signed",
            name=ErrorName.TRUST_SIGNATURES,
        )


class _Draft:
    """Collects the lines that are ours."""

    def __init__(self) -> None:
        self.single: dict[str, str] = {}
        self.submitters: dict[VerifierKey, Role] = {}
        self.succeeds: Succession | None = None
        self.people: dict[str, dict[str, tuple[str, ...]]] = {"maintainer": {}, "custodian": {}}

    def take(self, number: int, words: list[str]) -> None:
        readers: dict[str, Callable[[list[str]], None]] = {
            "submitter": self._submitter,
            "maintainer": self._person,
            "custodian": self._person,
            "succeeds": self._succeeds,
        }
        try:
            if words[0] in readers:
                readers[words[0]](words)
            elif words[0] in _SINGLE and len(words) == 2 and words[0] not in self.single:
                self.single[words[0]] = words[1]
            else:
                raise MalformedError(
                    f"{' '.join(words)[:60]!r} is unknown, given twice, or of another form"
                )
        except MalformedError as error:
            raise MalformedError(
                f"trust file line {number}: {error}", name=ErrorName.BAD_TRUST
            ) from error

    def _submitter(self, words: list[str]) -> None:
        if len(words) != 3:
            raise MalformedError("expected 'submitter ROLE KEY'")
        kind, colon, name = words[1].partition(":")
        named = kind in {"minter", "gate"}
        if kind not in _ROLES or named != bool(colon) or (named and not _NAME.fullmatch(name)):
            raise MalformedError(f"unknown role {words[1][:60]!r}")
        key = VerifierKey.parse(words[2])
        if key.kind != ED25519:
            raise MalformedError("a submitter's key is Ed25519")
        # By raw key, not by name: one key under two roles would let one host play both parts.
        # One name under one role is a key and the one that follows it, each with its own chain.
        role = Role(kind, name)
        for other, standing in self.submitters.items():
            if key.public == other.public or (key.name == other.name and role != standing):
                raise MalformedError("this key or name already exists")
            # Four bytes of a hash: a name can be found that gives any key the id of another.
            if key.key_id == other.key_id:
                raise MalformedError(f"key id {key.key_id.hex()} already exists")
        self.submitters[key] = role

    def _succeeds(self, words: list[str]) -> None:
        if len(words) != 5 or self.succeeds is not None:
            raise MalformedError("expected 'succeeds ORIGIN GENESIS SIZE ROOT', once")
        self.succeeds = Succession(
            words[1],
            _hex(words[2], "genesis"),
            _number(words[3], "size", 1),
            _hex(words[4], "root"),
        )

    def _person(self, words: list[str]) -> None:
        if len(words) != 4 or not _NAME.fullmatch(words[1]):
            raise MalformedError(f"expected '{words[0]} NAME TYPE KEY'")
        key = f"{words[2]} {words[3]}"
        SshPublicKey.parse(key)
        people = self.people[words[0]]
        people[words[1]] = (*people.get(words[1], ()), key)
        check_keys(people, "file")

    def finish(self, tlog: TlogPolicy, text: str) -> Trust:
        missing = sorted(_SINGLE - set(self.single) - _OPTIONAL)
        if missing:
            raise _bad(f"the line {missing[0]!r} is missing")
        one = self.single
        trust = Trust(
            version=_number(one["version"], "version", 1),
            kinds=_number(one["kinds"], "kinds", 1),
            genesis=_hex(one["genesis"], "genesis"),
            tlog=tlog,
            archiver=one["archiver"],
            level=_level(one["level"]),
            submitters=MappingProxyType(self.submitters),
            maintainers=MappingProxyType(self.people["maintainer"]),
            maintainers_needed=_number(one["maintainers"], "maintainers", 2),
            custodians=MappingProxyType(self.people["custodian"]),
            custodians_needed=_number(one.get("custodians", "0"), "custodians", 0),
            skew=_skew(one["skew"]),
            policy_at_least=_number(one["policy-at-least"], "policy-at-least", 0),
            door=one["door"] == "yes",
            succeeds=self.succeeds,
            text=text,
        )
        _check_whole(trust, one["door"])
        return trust


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_SINGLE = frozenset(
    {"version", "kinds", "genesis", "archiver", "level", "maintainers"}
    | {"custodians", "skew", "policy-at-least", "door"}
)
_OPTIONAL = frozenset({"custodians"})


def _check_whole(trust: Trust, door: str) -> None:
    if trust.tlog.quorum == NO_QUORUM:
        raise _bad("'quorum none' is refused; a proof must be witnessed")
    if not trust.tlog.logs:
        raise _bad("the line 'log' is missing; nothing could be proven")
    if trust.archiver not in {witness.name for witness in trust.tlog.witnesses}:
        raise _bad(f"archiver {trust.archiver!r} has no witness line")
    if len(trust.maintainers) < trust.maintainers_needed:
        raise _bad("fewer maintainers than are asked for")
    if trust.custodians and not trust.custodians_needed:
        raise _bad("custodians are named, and no line says how many are needed")
    if len(trust.custodians) < trust.custodians_needed:
        raise _bad("fewer custodians than are asked for")
    if door not in {"yes", "no"} or (trust.door and trust.custodians_needed < 2):
        raise _bad("'door' is yes or no, and yes takes two custodians")
    _check_witnesses(trust.tlog)
    said = trust.succeeds
    if said is not None and (trust.names_log(said.origin) or said.genesis == trust.genesis):
        raise _bad(f"log {said.origin!r} is followed by another one; it is no longer a log of ours")
    others = {log.vkey.public for log in trust.tlog.logs}
    others |= {witness.vkey.public for witness in trust.tlog.witnesses}
    for key in trust.submitters:
        if key.public in others:
            raise _bad(f"the key of submitter {key.name!r} is a log's or a witness's as well")


def _check_witnesses(tlog: TlogPolicy) -> None:
    """Check that two keys of one witness are one member of the quorum, whichever of them signs."""
    names: dict[str, set[str]] = {}
    for witness in tlog.witnesses:
        names.setdefault(witness.vkey.name, set()).add(witness.name)
    for key_name, members in names.items():
        either = any(each.needed == 1 and set(each.members) == members for each in tlog.groups)
        if len(members) > 1 and not either:
            raise _bad(
                f"witness {key_name!r} has {len(members)} keys; they must be the members of one"
                " group 'any', and of no other"
            )


def _bad(why: str) -> MalformedError:
    return MalformedError(f"trust file: {why}", name=ErrorName.BAD_TRUST)


def _number(text: str, what: str, least: int) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", text, re.ASCII):
        raise _bad(f"{what!r} is not a number: {text[:40]!r}")
    if int(text) < least:
        raise _bad(f"{what!r} is {least} at least, got {text}")
    return int(text)


def _skew(text: str) -> timedelta:
    seconds = _number(text.removesuffix("s"), "skew", 1)
    if not text.endswith("s") or seconds > 900:
        raise _bad(f"'skew' is 1s to 900s, got {text[:40]!r}")
    return timedelta(seconds=seconds)


def _hex(text: str, what: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII):
        raise _bad(f"{what!r} is 64 hexadecimal digits")
    return text


def _level(text: str) -> Level:
    try:
        return Level(text)
    except ValueError as error:
        raise _bad(f"unknown level {text[:40]!r}") from error
