"""One session of a grant's role: what it used, and whether the log has all of it.

Whose session it is stands in the entry's own column, which is fixed at the login: ``SET ROLE``, a
name that a session gives itself and any text of a statement change nothing of it. What the server
itself says (logins, pgaudit) has no context; what code of a session writes has one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from breakglass.policy.used.pgaudit_line import PgauditLine, pgaudit_line
from breakglass.policy.used.postgres_line import PostgresLine

PROBE = "breakglass-probe"
"""What the minter calls itself when it tries a credential, before anybody has it."""
_EXECUTE = re.compile(r"execute (?:[^:\s]+|<unnamed>)(?:/[^:\s]+)?: ")
# Commands of pgaudit's class MISC that take no right of a template.
_HARMLESS = frozenset(
    ("BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "EXECUTE",
     "FETCH", "MOVE", "CLOSE CURSOR", "DEALLOCATE", "DEALLOCATE ALL", "DISCARD", "DISCARD ALL",
     "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "SHOW", "SET", "RESET",
     "SET CONSTRAINTS", "LISTEN", "UNLISTEN", "NOTIFY", "EXPLAIN", "PREPARE", "???")
)  # fmt: skip
_SETS = re.compile(r"\bset_config\b", re.IGNORECASE)
_TAKES_A_NAME = re.compile(r"\b(role|authorization)\b", re.IGNORECASE)


@dataclass
class PostgresSession:
    """Built up entry by entry, of one log form; see ``take``."""

    handle: str
    database: str
    begins: datetime
    ends: datetime
    applications: set[str] = field(default_factory=set)
    let_in: bool = False
    closed: bool = False
    fatal: bool = False
    numbers: set[int] = field(default_factory=set)
    audited: list[PgauditLine] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    _last: str = ""

    def take(self, line: PostgresLine) -> None:
        """Count one entry, in the order of the log; what was counted already changes nothing."""
        if line.number in self.numbers:
            return
        self.numbers.add(line.number)
        self.begins, self.ends = min(self.begins, line.at), max(self.ends, line.at)
        self.applications |= {line.application} - {""}
        if line.severity in ("ERROR", "FATAL", "PANIC"):
            self.fatal = self.fatal or line.severity != "ERROR"
            if self._last and line.query == self._last and _statements(self._last) == 1:
                self.said[self._last] -= 1  # it failed as a whole: nothing need follow it
            self._last = ""
        if line.severity != "LOG" or line.context:
            return
        message = line.message
        if message.startswith("connection authorized: user="):
            self.let_in = True
        elif message.startswith("disconnection: session time: "):
            self.closed = True
        elif found := pgaudit_line(message):
            self.audited.append(found)
        elif text := _statement(message):
            self.said[text] += 1
            self._last = text

    @property
    def refused(self) -> bool:
        """Whether it ended before it could do anything: a login that the server turned away."""
        did = self.closed or self.audited or +self.said
        return self.fatal and not did and not self._gap

    @property
    def missing(self) -> str:
        """Return what the log does not have of it, in words; empty if it has all of it."""
        if self._gap:
            return "entries are missing"
        if self.refused:
            return ""
        if not self.let_in:
            return "its login is missing (log_connections)"
        if not (self.closed or self.fatal):
            return "its end is missing (log_disconnections)"
        return ""

    @property
    def _gap(self) -> bool:
        # The first entry comes before the user is known, so that it has no name yet.
        first, last = min(self.numbers), max(self.numbers)
        return first > 2 or len(self.numbers) <= last - first

    @property
    def proven(self) -> bool:
        """Say whether pgaudit told of every statement that ``log_statement = all`` told of.

        Either alone proves nothing: a class that pgaudit leaves out shows in no entry of it.
        """
        if not self.said:
            return False
        ids: dict[str, set[int]] = {}
        for each in self.audited:
            ids.setdefault(each.text, set()).add(each.statement)
        return all(
            len(ids.get(text, ())) >= times * _statements(text)
            for text, times in self.said.items()
            if times > 0
        )

    @property
    def relations(self) -> set[tuple[str, str]]:
        """Return each relation with each right that it may have taken."""
        return {
            (each.relation, right)
            for each in self.audited
            if each.relation and each.command != "???" and not each.relation.startswith("pg_temp_")
            for right in each.rights
        }

    @property
    def truncates(self) -> bool:
        """Whether it emptied a table; pgaudit does not say which."""
        return any(each.command == "TRUNCATE TABLE" for each in self.audited)

    @property
    def beyond(self) -> set[str]:
        """Return the commands that take rights which no list of tables shows."""
        return {_shown(each) for each in self.audited if _is_beyond(each)}


def _shown(line: PgauditLine) -> str:
    return "set_config" if _SETS.search(line.text) else line.command


def _is_beyond(line: PgauditLine) -> bool:
    if _SETS.search(line.text):
        return True  # SET ROLE by a function that pgaudit does not tell of
    if line.kind in ("READ", "WRITE"):
        return line.kind == "WRITE" and not line.relation and line.command not in _WRITES
    if line.kind == "FUNCTION":
        return False  # whoever may run functions is carried over; what they touch has lines too
    if line.command in ("SET", "RESET", "DISCARD", "DISCARD ALL", ""):
        return not line.text or bool(_TAKES_A_NAME.search(line.text))
    return line.command not in _HARMLESS


# Without a relation in the entry: of constants, of a temporary table that is gone, or TRUNCATE.
_WRITES = frozenset(("TRUNCATE TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "PREPARE", "COPY"))


def _statement(message: str) -> str:
    if message.startswith("statement: "):
        return message.removeprefix("statement: ")
    found = _EXECUTE.match(message)
    return message[found.end() :] if found else ""


def _statements(text: str) -> int:
    """Return how many statements a text may hold, rather more than fewer."""
    return sum(1 for each in text.split(";") if each.strip())
