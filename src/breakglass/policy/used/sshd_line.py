"""One entry of sshd or sudo, from the journal as JSON or from syslog's file.

The journal itself writes down which account and which program an entry came from (``_UID``,
``_EXE``), and only root's sshd and sudo count. In a file of syslog whoever has an account of the
host may write lines in sshd's name (``logger -t sshd``): such lines can show a use that was none,
so that less is taken away, and never hide one. Source: systemd.journal-fields(7); OpenSSH 9.2,
``auth_log`` in auth.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from breakglass.policy.used.log_file import LogForm, LogPlace, json_object, lines, said

_PROGRAMS = frozenset(("sshd", "sshd-session", "sudo"))
_SYSLOG = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
    r" (\S+) ([^\s:\[]+)(?:\[([0-9]+)\])?: ?(.*)",
    re.DOTALL,
)
# The key id of a certificate is its signer's text, so what stands behind it is read from the end.
_ACCEPTED = re.compile(r"Accepted \S+ for (\S+) from \S+ port [0-9]+ ssh2(?::|$)")
_CERTIFICATE = re.compile(
    r"Accepted publickey for \S+ from \S+ port [0-9]+ ssh2: \S+-CERT SHA256:\S+"
    r" ID .* \(serial ([0-9]{1,20})\) CA \S+ SHA256:\S+",
    re.DOTALL,
)
_MICROSECONDS = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True)
class SshdLine:
    """One entry.

    Attributes:
        place, at, host: where it stands, when, and on which host it was written.
        program: ``sshd`` or ``sudo`` where it counts, else empty: then only that the host writes.
        process: the number of the process; empty where none is said.
        message: as written.
    """

    place: LogPlace
    at: datetime
    host: str
    program: str
    process: str
    message: str

    @property
    def let_in(self) -> str:
        """Return the account that sshd let somebody into by this entry; else empty."""
        found = _ACCEPTED.match(self.message) if self.program == "sshd" else None
        return found[1] if found else ""

    @property
    def serial(self) -> int | None:
        """Return the serial of the certificate that somebody was let in by, if it was one."""
        found = _CERTIFICATE.fullmatch(self.message) if self.let_in else None
        return int(found[1]) if found else None


def sshd_lines(path: Path, form: LogForm) -> Iterator[SshdLine]:
    """Yield the entries of a log, streaming.

    Raises:
        MalformedError: with file and line, what is no entry of this form.
    """
    for place, line in lines(path):
        yield _journal(place, line) if form is LogForm.JOURNAL else _syslog(place, line)


def _journal(place: LogPlace, line: bytes) -> SshdLine:
    at = json_object(place, line)
    moment = at.get("__REALTIME_TIMESTAMP")
    host = at.get("_HOSTNAME")
    if not isinstance(moment, str) or not _MICROSECONDS.fullmatch(moment):
        raise place.wrong("microseconds as '__REALTIME_TIMESTAMP'", str(moment))
    if not isinstance(host, str) or not host:
        raise place.wrong("a text as '_HOSTNAME'", str(host))
    seconds, micros = divmod(int(moment), 1_000_000)
    message, exe = at.get("MESSAGE"), at.get("_EXE")
    program = PurePosixPath(exe).name if isinstance(exe, str) and at.get("_UID") == "0" else ""
    try:
        time = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    except (ValueError, OverflowError, OSError) as error:
        raise place.wrong("a time that there is", moment) from error
    # The journal gives what is no printable text as a list of bytes: sshd writes none such.
    return SshdLine(
        place, time, host, _program(program), str(at.get("_PID", "")),
        message if isinstance(message, str) else "",
    )  # fmt: skip


def _syslog(place: LogPlace, line: bytes) -> SshdLine:
    text = line.decode("utf-8", "surrogateescape")
    found = _SYSLOG.fullmatch(text)
    if found is None:
        raise place.wrong(
            "a line such as '2026-12-01T03:14:09.123456+00:00 host sshd[12]: …'", said(line)
        )
    time, host, program, process, message = found.groups()
    try:
        at = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise place.wrong("a time that there is", time) from error
    return SshdLine(place, at, host, _program(program), process or "", message)


def _program(name: str) -> str:
    return name.removesuffix("-session") if name in _PROGRAMS else ""
