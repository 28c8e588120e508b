"""What grants did at a PostgreSQL, read from its csvlog or jsonlog files in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.policy.used.grant_use import GrantUse, HeardMinutes, TableRight
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.policy.used.log_file import LogForm, LogPlace
from breakglass.policy.used.postgres_line import postgres_lines
from breakglass.policy.used.postgres_session import PROBE, PostgresSession

DATABASES = "databases"
_CLOCKS_APART = timedelta(seconds=30)  # more, and ``minter check`` has said so


@dataclass
class PostgresActs:
    """What stands in the logs of one server: every grant's sessions, and when anybody wrote."""

    heard: HeardMinutes = field(default_factory=HeardMinutes)
    sessions: dict[tuple[str, LogForm], PostgresSession] = field(default_factory=dict)

    def use_of(self, grant: LivedGrant) -> GrantUse:
        """Return what one grant used. What only a part of the log proves counts as used."""
        mine = self._of(grant.handle)
        lost = self.heard.lost(grant.begins, grant.ends, "the log")
        if not mine:
            lost.append(f"no login of {grant.handle} is in it, not even the minter's own")
        theirs = {
            ident: forms
            for ident, forms in mine.items()
            if not all(_is_the_minters(each, grant) for each in forms)
        }
        for ident, forms in sorted(mine.items()):
            if all(each.missing for each in forms):
                lost.append(f"session {ident} of {grant.handle}: {forms[0].missing}")
        sessions = [each for forms in theirs.values() for each in forms if not each.refused]
        unproven = {
            forms[0].database
            for forms in theirs.values()
            if not any(each.proven and not each.missing for each in forms)
            and not all(each.refused for each in forms)
        }
        return GrantUse(
            grant,
            {DATABASES: frozenset(each.database for each in sessions)},
            rights=frozenset(
                TableRight(each.database, *right) for each in sessions for right in each.relations
            ),
            truncated=frozenset(each.database for each in sessions if each.truncates),
            beyond=frozenset(
                f"{command} in {each.database}" for each in sessions for command in each.beyond
            ),
            unproven=frozenset(unproven),
            last=max((each.ends for each in sessions), default=None),
            lost=tuple(lost),
        )

    def _of(self, handle: str) -> Mapping[str, list[PostgresSession]]:
        found: dict[str, list[PostgresSession]] = {}
        for (ident, _), each in self.sessions.items():
            if each.handle == handle:
                found.setdefault(ident, []).append(each)
        return found


def read_postgres(
    logs: Iterable[tuple[Path, LogForm]], grants: Iterable[LivedGrant]
) -> PostgresActs:
    """Read the logs of one server.

    Args:
        logs: in the order in which they were written; one form beside the other is no harm.
        grants: whose acts are looked for.

    Raises:
        MalformedError: with file and line, what is no entry of its form.
    """
    acts = PostgresActs()
    handles = {each.handle for each in grants}
    for path, form in logs:
        for line in postgres_lines(path, form):
            acts.heard.add(line.at)
            if line.user not in handles:
                continue
            if not line.database.isprintable() or not line.session:
                raise _unusable(line.place, line.database)
            made = acts.sessions.get((line.session, form))
            if made is None:
                made = PostgresSession(line.user, line.database, line.at, line.at)
                acts.sessions[line.session, form] = made
            made.take(line)
    return acts


def _unusable(place: LogPlace, database: str) -> Exception:
    return place.wrong("a session with an id, in a database of printable characters", database)


def _is_the_minters(session: PostgresSession, grant: LivedGrant) -> bool:
    """Say whether it is the minter's try of the credential, from before it was handed out.

    A holder could take the name too, within the clocks' difference: they would hide that they
    logged in and did nothing.
    """
    return (
        session.applications == {PROBE}
        and session.begins <= grant.begins + _CLOCKS_APART
        and not (session.relations or session.beyond or session.truncates)
    )
