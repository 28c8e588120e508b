"""The root daemon's story: who begins, and that everything of a grant ends, by this host's clock.

One thing at a time, under one lock: a session is in its grant's group before an end counts the
group's processes, or it finds the end on disk and is refused. There is no third case.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, assert_never

from breakglass import shown_text
from breakglass.canonical import Json
from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.process.folder import write_whole
from breakglass.records.grant import serial_of
from breakglass.sshd import host_requests as requests
from breakglass.sshd.account_files import AccountFiles
from breakglass.sshd.grant_certificate import GrantCertificate, signed_by
from breakglass.sshd.grant_table import GrantRow, GrantTable
from breakglass.sshd.host_check import findings
from breakglass.sshd.host_config import HostConfig
from breakglass.sshd.login_check import Login, check_login, check_not_ended, newest_seen
from breakglass.sshd.revocation import publish, revoked
from breakglass.sshd.session_cgroup import SessionCgroups
from breakglass.sshd.session_use import busy, touched
from breakglass.sshd.steady_clock import SteadyClock

KEPT = timedelta(days=30)  # longer than a certificate may be valid: its serial stays in the KRL
JOBS_SHUT = timedelta(seconds=120)  # cron forks by what it read a minute ago

log = logging.getLogger("breakglass.sshd")


class HostDaemon:
    """See the module; safe under threads.

    Raises:
        MisconfiguredError: there is no cgroup v2, no key, or the state cannot be used.
        BreakglassError: the trust file does not hold.
    """

    def __init__(self, config: HostConfig, clock: Clock) -> None:
        self._config = config
        self._lock = threading.RLock()
        state = config.settings.state
        config.ca_blob()
        config.keep_trust()
        self._groups = SessionCgroups(config.settings.cgroup)
        self._clock = SteadyClock(state / "clock", clock)
        self._table = GrantTable(state / "grants.sqlite")
        self._files = AccountFiles(config.settings, state / "taken")
        # sshd refuses everybody without a KRL: it is there before anything else is done.
        self._publish()
        self._used_accounts: set[str] | None = None
        self._write_accounts()

    def look(self) -> None:
        """End what is over, and go on with ends that a crash cut short; called every so often."""
        with self._lock:
            now = self._clock.now()
            for row in self._table.all():
                over = row.expires is not None and now >= row.expires
                if row.quiet or not (over or row.ended):
                    continue
                try:
                    self._end(row.handle)
                except (BreakglassError, OSError, sqlite3.Error) as error:
                    log.error("%s is not over yet, tried again: %s", row.handle, error)
            # Behind the ends: a disk that its holder filled keeps no grant alive.
            self._table.forget(now - KEPT)
            self._write_accounts()
            self._clock.keep()

    def answer(self, request: requests.Request) -> Mapping[str, Json]:
        """Do what is asked and return the answer's fields.

        Raises:
            BreakglassError: refused, or not done; ``look`` finishes what was promised.
        """
        with self._lock:
            match request:
                case requests.Describe():
                    settings = self._config.settings
                    return {
                        "host": settings.host,
                        "minter": settings.minter,
                        "version": version("breakglass"),
                    }
                case requests.Open():
                    return self._open(request)
                case requests.Probe():
                    return self._probe(request)
                case requests.Cut():
                    return {"sessions": self._end(request.handle)}
                case requests.CutIdle():
                    return self._cut_idle(request.handle)
                case requests.Used():
                    return {"used": self._used(request)}
                case requests.ProbeDead():
                    return self._probe_dead(request)
                case requests.Tidy():
                    return self._tidy(request.handle)
                case requests.ListHandles():
                    return {"handles": self._handles()}
                case requests.Check():
                    found = findings(self._config, request.accounts, self._clock.behind)
                    return {"findings": [each.written() for each in found]}
                case requests.Login():
                    return self._login(request)
                case requests.Job():
                    return self._job(request)
                case _:
                    assert_never(request)

    # --- beginning ------------------------------------------------------------------------------

    def _open(self, said: requests.Open) -> Mapping[str, Json]:
        if said.serial != str(serial_of(said.handle)):
            raise MalformedError(
                f"serial {said.serial} is not the one of {said.handle!r}; nothing was done",
                name=ErrorName.MISMATCH,
            )
        self._check_standing(said.handle)
        if self._clock.now() >= said.expires:
            raise RefusedError(f"{said.handle!r} is past its end", name=ErrorName.ENDED)
        # A crash before this knows nothing of the grant, whose first login enters it then.
        self._enter(said.handle, said.accounts, said.expires)
        return {"known": True}

    def _login(self, said: requests.Login) -> Mapping[str, Json]:
        certificate = self._ours(said.certificate)
        login = self._check(certificate, said.account)
        intent = login.intent
        self._check_standing(intent.handle)
        if login.witnessed is not None:
            self._saw(login)
        # (1) On disk: who, until when, and what the accounts have. A crash behind it ends the
        #     grant in time; one before it lets nobody in.
        self._enter(intent.handle, login.accounts, intent.not_after, proven=True)
        self._table.used(intent.handle, self._clock.now())
        # (2) In the group, before the session's first process is there.
        self._groups.admit(intent.handle, said.pid)
        log.warning("%s lets %s in as %s", intent.handle, intent.who, said.account)
        return {"handle": intent.handle}

    def _job(self, said: requests.Job) -> Mapping[str, Json]:
        now = self._clock.now()
        rows = [row for row in self._table.all() if said.account in row.accounts]
        for row in rows:
            # cron may run by what it read before we took it away; so may atd, once.
            recent = row.ended is not None and now < row.ended + JOBS_SHUT
            if row.ended and (
                not row.quiet or (recent and _took_jobs(row, said.account, self._config))
            ):
                raise RefusedError(
                    f"jobs of {said.account!r} do not begin: {row.handle!r} has just ended, and"
                    " had made some",
                    name=ErrorName.ENDED,
                )
        living = [row for row in rows if not row.ended and self._gained(row, said.account)]
        if not living:
            return {"handle": ""}
        # Of two grants, with the one that ends first: a job outlives none that may have made it.
        row = min(living, key=lambda each: format_time(each.expires) if each.expires else "")
        if row.expires is not None and now >= row.expires:
            raise RefusedError(f"{row.handle!r} is past its end", name=ErrorName.ENDED)
        self._table.used(row.handle, now)
        self._groups.admit(row.handle, said.pid)
        return {"handle": row.handle}

    def _enter(
        self, handle: str, accounts: tuple[str, ...], expires: datetime, *, proven: bool = False
    ) -> None:
        row = self._table.find(handle)
        if row is None or (proven and not row.proven):
            known = {} if row is None else row.baseline
            baseline = {each: known.get(each) or self._baseline(each) for each in accounts}
            # ``open`` proves nothing: what the token says takes its place, and is never longer.
            if row is not None and row.expires is not None:
                expires = min(expires, row.expires)
            self._table.enter(handle, accounts, expires, baseline, proven=proven)
        # Before anybody is let in: from here jobs of these accounts ask us. A start writes it too.
        self._write_accounts()

    def _baseline(self, account: str) -> dict[str, Any]:
        # What a grant that lives still has planted is nobody's own, and not kept by the next.
        for row in self._table.all():
            if row.proven and not row.quiet and account in row.baseline:
                return dict(row.baseline[account])
        return self._files.baseline(account)

    # --- ending ---------------------------------------------------------------------------------

    def _end(self, handle: str) -> int:
        """End a grant in an order in which a crash at any place leaves an end that goes on."""
        # (1) Promise, on disk. Before it nothing has changed; behind it ``look`` comes back here.
        try:
            self._table.end(handle, self._clock.now())
            # (2) No new login. A crash before this is mended at the start, before the first answer.
            self._publish()
        except (BreakglassError, OSError, sqlite3.Error):
            # A full disk, or no process left for ssh-keygen: the holder can bring about both, and
            # shall not live by it. It is not over, and ``look`` comes back.
            self._groups.end(handle)
            raise
        # (3) Nothing that runs. Jobs of its accounts are refused until (5): none begins meanwhile.
        sessions = self._groups.end(handle)
        # (4) Nothing that would run later; each is kept before it is taken away.
        row = self._table.find(handle)
        assert row is not None
        left = list(row.left_behind)
        # Where nobody logged in by it, whatever changed is somebody else's.
        for account, baseline in row.baseline.items() if row.proven else ():
            left += self._files.take_away(handle, account, baseline)
        # (5) Over. A crash before this does (1) to (4) again, which finds less to do.
        self._table.taken(handle, left)
        if not row.quiet:
            log.warning("%s is over: %d sessions cut, %d changes", handle, sessions, len(left))
        return sessions

    def _cut_idle(self, handle: str) -> Mapping[str, Json]:
        if any(busy(pids) for pids in self._groups.sessions(handle).values()):
            raise RefusedError(f"somebody works in {handle!r}", name=ErrorName.BUSY)
        return {"sessions": self._end(handle)}

    def _used(self, said: requests.Used) -> bool:
        row = self._table.find(said.handle)
        if row is None:
            return False  # nobody ever logged in by it
        within = timedelta(seconds=said.within_s)
        if row.last_session is not None and self._clock.now() < row.last_session + within:
            return True
        sessions = self._groups.sessions(said.handle).values()
        return any(busy(pids) or touched(pids, within) for pids in sessions)

    # --- asking ---------------------------------------------------------------------------------

    def _probe(self, said: requests.Probe) -> Mapping[str, Json]:
        certificate = self._ours(said.certificate)
        login = self._check(certificate, said.account)
        handle = login.intent.handle
        self._check_standing(handle)
        if revoked(self._config, handle, said.certificate):
            raise RefusedError(f"the KRL refuses {handle!r}", name=ErrorName.ENDED)
        here = self._config.settings.host
        told = f"{here} lets {handle} in as {said.account}: certificate, token and KRL hold"
        return {"evidence": told}

    def _probe_dead(self, said: requests.ProbeDead) -> Mapping[str, Json]:
        handle, here = said.handle, self._config.settings.host
        row = self._table.find(handle)
        if row is None or not row.ended:
            raise RefusedError(f"{handle!r} was not ended on {here!r}", name=ErrorName.ALIVE)
        check_listed(self._config, handle)
        if said.certificate:
            certificate = self._ours(said.certificate)
            if certificate.handle != handle:
                raise MalformedError("the certificate is of another grant", name=ErrorName.MISMATCH)
        if not revoked(self._config, handle, said.certificate or None):
            raise RefusedError(f"the KRL of {here!r} takes {handle!r} still", name=ErrorName.ALIVE)
        if self._groups.populated(handle):
            raise RefusedError(f"processes of {handle!r} run on {here!r}", name=ErrorName.ALIVE)
        jobs = [] if row.quiet else [each for a in row.accounts for each in self._gained(row, a)]
        if jobs or not row.quiet:
            raise RefusedError(
                f"{len(jobs)} jobs of {handle!r} wait on {here!r}", name=ErrorName.ALIVE
            )
        return {
            "evidence": f"{here} refuses serial {serial_of(handle)} (KRL); 0 processes in its"
            " cgroup; 0 jobs"
        }

    def _tidy(self, handle: str) -> Mapping[str, Json]:
        row = self._table.find(handle)
        if row is None or (not row.accounts and row.ended):
            self._table.tidied(handle)
            return {"left_behind": []}
        if not row.quiet:
            raise RefusedError(f"{handle!r} has not ended", name=ErrorName.ALIVE)
        left = list(row.left_behind)
        for account, baseline in row.baseline.items() if row.proven else ():
            left += self._files.changes(account, baseline)
        self._table.tidied(handle)
        # The account chose the names: one that is no text shall not hide the others.
        return {"left_behind": sorted({shown_text.shown(each, 4096) for each in left})}

    def _handles(self) -> list[str]:
        known = {row.handle for row in self._table.all() if not row.tidied}
        return sorted(
            known | {each for each in self._groups.handles() if self._groups.populated(each)}
        )

    # --- parts ----------------------------------------------------------------------------------

    def _ours(self, text: str) -> GrantCertificate:
        found = signed_by(text, self._config.ca_blob())
        if found is None:
            raise RefusedError("a certificate of another CA", name=ErrorName.OTHER_KEY)
        return found

    def _check(self, certificate: GrantCertificate, account: str) -> Login:
        trust = self._config.keep_trust()
        return check_login(self._config, certificate, account, trust, self._clock.now())

    def _check_standing(self, handle: str) -> None:
        row = self._table.find(handle)
        over = row is not None and row.expires is not None and self._clock.now() >= row.expires
        if row is not None and (row.ended or over):
            raise RefusedError(f"{handle!r} was ended on this host", name=ErrorName.ENDED)

    def _gained(self, row: GrantRow, account: str) -> list[str]:
        return self._files.gained_jobs(account, row.baseline.get(account, {}))

    def _saw(self, login: Login) -> None:
        seen = newest_seen(self._config)
        if login.witnessed is not None and (seen is None or login.witnessed > seen):
            try:
                text = format_time(login.witnessed).encode()
                write_whole(self._config.newest_seen, text, 0o644)
            except OSError as error:
                raise UnavailableError("what was seen cannot be kept; not let in") from error

    def _write_accounts(self) -> None:
        since = self._clock.now() - JOBS_SHUT
        rows = [row for row in self._table.all() if not row.quiet or _at(row.ended) >= since]
        used = {account for row in rows for account in row.accounts}
        if used == self._used_accounts:
            return
        text = "".join(f"{each}\n" for each in sorted(used))
        try:
            write_whole(self._config.used_accounts, text.encode(), 0o644)
        except OSError as error:
            raise UnavailableError("the accounts in use cannot be written") from error
        self._used_accounts = used

    def _publish(self) -> None:
        publish(self._config, (row.handle for row in self._table.all() if row.ended))


def check_listed(config: HostConfig, handle: str) -> None:
    """Check that ``principals`` refuses a handle by the list.

    Raises:
        RefusedError: ``alive``; it does not.
        UnavailableError: the list cannot be read.
    """
    try:
        check_not_ended(config, handle)
    except RefusedError:
        return
    raise RefusedError(f"the list of ended grants lacks {handle!r}", name=ErrorName.ALIVE)


def _at(moment: datetime | None) -> datetime:
    assert moment is not None, "what is quiet has ended"
    return moment


def _took_jobs(row: GrantRow, account: str, config: HostConfig) -> bool:
    spools = (str(config.settings.cron_spool), str(config.settings.at_spool))
    used = f"used {account!r}"
    return any(each.startswith(spools) and used in each for each in row.left_behind)
