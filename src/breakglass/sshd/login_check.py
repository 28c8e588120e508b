"""Whether a certificate lets its holder in, as one account, on this host, now.

``principals`` asks it for sshd, the daemon asks it once more as root: what a session may is
decided by nobody who could be talked into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    reason,
)
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import parse_as_kind
from breakglass.records.trust import Trust
from breakglass.sshd.grant_certificate import HANDLES, GrantCertificate, check_says
from breakglass.sshd.host_config import HostConfig
from breakglass.token.token import parse_token
from breakglass.token.verify import Verifier, verify_token

HOSTS, ACCOUNTS = "hosts", "accounts"  # dimensions of an ``ssh`` scope: records/platforms.py


@dataclass(frozen=True)
class Login:
    """What the token of a certificate proved."""

    intent: Intent
    accounts: tuple[str, ...]
    witnessed: datetime | None


def check_login(
    config: HostConfig, certificate: GrantCertificate, account: str, trust: Trust, now: datetime
) -> Login:
    """Check token, certificate, scope and the list of ended grants; writes nothing.

    Args:
        config: whose host this is.
        certificate: signed by our CA.
        account: the local account that is logged in to.
        trust: as accepted.
        now: this host's time.

    Raises:
        MalformedError, UnprovenError: the token does not hold.
        RefusedError: it does, and opens not this: expired, another minter, host or account,
            ended, a drill, or the certificate says more than the intent.
        UnavailableError: what has ended, or been seen, cannot be read.
    """
    token = parse_token(certificate.token)
    record = parse_as_kind(Intent, token.intent)
    if not isinstance(record.body, Intent):
        raise MalformedError("the token's record is no intent", name=ErrorName.NOT_AN_INTENT)
    verifier = Verifier(trust, config.door, newest_seen(config))
    shown = verify_token(token, verifier, record.body.grant, now)
    intent = shown.intent
    if shown.asking.statement.drill:
        raise RefusedError(
            f"grant {intent.grant!r} is a drill, which lets nobody in", name=ErrorName.NOT_OFFERED
        )
    check_says(certificate, intent, trust)
    _check_scope(intent, HOSTS, config.settings.host)
    _check_scope(intent, ACCOUNTS, account)
    check_not_ended(config, intent.handle)
    witnessed = max(shown.cosigned.values(), default=None)
    return Login(intent, intent.scope[ACCOUNTS], witnessed)


def check_not_ended(config: HostConfig, handle: str) -> None:
    """Refuse a handle that the daemon's list names.

    Raises:
        RefusedError: ``ended``.
        UnavailableError: there is no list: the daemon was never started here.
    """
    try:
        ended = config.ended_list.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"the list of ended grants cannot be read: {reason(error)}; nobody of a grant is let"
            " in",
            hint="start the daemon: breakglass-sshd serve",
        ) from error
    if handle in ended:
        raise RefusedError(f"{handle!r} was ended on this host", name=ErrorName.ENDED)


def newest_seen(config: HostConfig) -> datetime | None:
    """Return the newest witness's time of all tokens shown here; none before the first.

    Raises:
        UnavailableError: the file is there and says no time.
    """
    try:
        text = config.newest_seen.read_text("ascii").strip()
        return parse_time(text) if text else None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, BreakglassError) as error:
        raise UnavailableError(
            f"{str(config.newest_seen)!r} cannot be read; nobody of a grant is let in"
        ) from error


def ordinary_principals(config: HostConfig, account: str) -> list[str]:
    """Return what a certificate of another CA may name to log in as ``account``, as sshd would.

    Never a grant's handle: no other CA lets anybody in by a grant.

    Raises:
        UnavailableError: the file that the settings name cannot be read.
    """
    named = [account]
    if config.settings.ordinary_principals:
        if "/" in account or account in ("", ".", ".."):
            return []
        path = config.settings.ordinary_principals.replace("%u", account)
        try:
            with open(path, encoding="utf-8") as file:
                named = [line.strip() for line in file]
        except FileNotFoundError:
            return []  # as sshd: nobody
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(f"{path!r} cannot be read: {error}") from error
    named = [line for line in named if line and not line.startswith("#")]
    # The last word is the principal; options may stand before it (AUTHORIZED_PRINCIPALS FILE).
    return [line for line in named if not line.split()[-1].startswith(HANDLES)]


def _check_scope(intent: Intent, dimension: str, wanted: str) -> None:
    if wanted not in intent.scope.get(dimension, ()):
        raise RefusedError(
            f"grant {intent.grant!r} does not reach {wanted!r} of its {dimension}",
            name=ErrorName.WRONG_SCOPE,
        )
