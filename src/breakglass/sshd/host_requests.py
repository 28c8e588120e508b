"""What is asked of a host's daemon: one JSON object each, exactly its verb's fields.

``Open`` to ``Check`` come from the minter, through ``control``; ``Login`` and ``Job`` from PAM, and
from root alone. Source: docs/reference/ssh-hosts.md, «The control call».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from breakglass import canonical
from breakglass.canonical import Json, parse_strict
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError
from breakglass.records.encoding.text_types import Pattern
from breakglass.strict_json import Between, Many, read

VERSION = 1
BYTES_AT_MOST = 64 * 1024

HostHandle = Annotated[str, Pattern("the handle of a grant", r"bg_[a-z0-9]{1,61}")]
AccountName = Annotated[str, Pattern("an account's name", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")]
CertificateText = Annotated[str, Pattern("a certificate", r"[a-z0-9@.-]{1,80} [A-Za-z0-9+/=]+")]
MaybeCertificate = Annotated[
    str, Pattern("a certificate or null", r"([a-z0-9@.-]{1,80} [A-Za-z0-9+/=]+)?")
]
Serial = Annotated[str, Pattern("a serial in decimal digits", r"0|[1-9][0-9]{0,19}")]
Name = Annotated[str, Pattern("a name", r"[ -~]{1,100}")]
IdText = Annotated[str, Pattern("an id of 200 characters at most", r"[ -~]{0,200}")]  # a ``Word``
Accounts = Annotated[tuple[AccountName, ...], Many(64)]
Pid = Annotated[int, Between(2, 2**22)]


@dataclass(frozen=True)
class Describe:
    """Who is this."""


@dataclass(frozen=True)
class Open:
    """A certificate will be shown: look at the accounts now, and end it at ``expires``."""

    handle: HostHandle
    grant: Name
    serial: Serial
    accounts: Annotated[tuple[AccountName, ...], Many(64, 1)]
    not_before: datetime
    expires: datetime


@dataclass(frozen=True)
class Probe:
    """Would it let in."""

    certificate: CertificateText
    account: AccountName


@dataclass(frozen=True)
class Cut:
    """End it now."""

    handle: HostHandle
    ids: Annotated[Mapping[Name, IdText], Many(64)]


@dataclass(frozen=True)
class CutIdle:
    """End it now if nobody works in it."""

    handle: HostHandle


@dataclass(frozen=True)
class Used:
    """Did anybody work in it."""

    handle: HostHandle
    within_s: Annotated[int, Between(1, 7 * 86_400)]


@dataclass(frozen=True)
class ProbeDead:
    """Is all of it over; ``null`` where nobody has the certificate any more, read as empty."""

    handle: HostHandle
    certificate: MaybeCertificate


@dataclass(frozen=True)
class Tidy:
    """What is left of it."""

    handle: HostHandle


@dataclass(frozen=True)
class ListHandles:
    """What is known here and was not tidied."""


@dataclass(frozen=True)
class Check:
    """Does this host do what it must for these accounts."""

    accounts: Accounts


@dataclass(frozen=True)
class Login:
    """A session of sshd begins: ``pid`` is its process, ``service`` PAM's word."""

    account: AccountName
    certificate: CertificateText
    pid: Pid


@dataclass(frozen=True)
class Job:
    """A job of cron or at begins."""

    account: AccountName
    pid: Pid


Request = (
    Describe | Open | Probe | Cut | CutIdle | Used | ProbeDead | Tidy | ListHandles | Check
    | Login | Job
)  # fmt: skip
VERBS: Mapping[str, type[Request]] = {
    "describe": Describe,
    "open": Open,
    "probe": Probe,
    "cut": Cut,
    "cut-idle": CutIdle,
    "used": Used,
    "probe-dead": ProbeDead,
    "tidy": Tidy,
    "list": ListHandles,
    "check": Check,
    "login": Login,
    "job": Job,
}
ROOT_ALONE = (Login, Job)


def read_request(data: bytes) -> Request:
    """Read one request.

    Raises:
        MalformedError: too large, no JSON, a key twice, another version, an unknown verb, or not
            exactly the verb's fields; nothing was done.
    """
    if len(data) > BYTES_AT_MOST:
        raise MalformedError(
            f"the request has more than {BYTES_AT_MOST} bytes; nothing was done",
            name=ErrorName.TOO_LARGE,
        )
    found = parse_strict(data, "the request")
    if not isinstance(found, dict):
        raise MalformedError("the request is no JSON object; nothing was done")
    fields = dict(found)
    version, verb = fields.pop("v", None), fields.pop("verb", None)
    if type(version) is not int or version != VERSION:
        raise MalformedError(
            f"the request is of version {str(version)[:20]!r}, this host reads {VERSION}; nothing"
            " was done",
            name=ErrorName.BAD_REQUEST,
        )
    kind = VERBS.get(verb) if isinstance(verb, str) else None
    if kind is None:
        raise MalformedError(
            f"no verb {str(verb)[:40]!r} here; nothing was done", name=ErrorName.BAD_REQUEST
        )
    if kind is ProbeDead and "certificate" in fields and fields["certificate"] is None:
        fields["certificate"] = ""
    return read(kind, fields, f"the request {verb!r}")


def write_request(verb: str, **fields: Json) -> bytes:
    """Write a request as ``read_request`` takes it."""
    return canonical.canonical({"v": VERSION, "verb": verb, **fields}).encode()


def write_answer(fields: Mapping[str, Json]) -> bytes:
    """Write an answer, as one line."""
    return canonical.canonical({"v": VERSION, **fields}).encode() + b"\n"


def write_error(error: BreakglassError) -> bytes:
    """Write an error as an answer."""
    told: Json = {"name": str(error.name), "message": str(error), "hint": error.hint}
    return write_answer({"error": told})
