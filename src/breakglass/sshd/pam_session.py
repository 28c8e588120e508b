"""What PAM's session step does: the beginning process goes into its grant's group, or nowhere.

pam_exec runs us as root, as a child of the process that will become the session, before that has
started anything. We fail, and ``required`` makes the login fail.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

from breakglass.canonical import Json, parse_strict
from breakglass.error_names import ErrorName, name_of
from breakglass.errors import (
    MisconfiguredError,
    RefusedError,
    UnavailableError,
    reason,
)
from breakglass.sshd.grant_certificate import TYPE, signed_by
from breakglass.sshd.host_config import HostConfig, SshdSettings
from breakglass.sshd.host_requests import write_request
from breakglass.sshd.host_socket import call

AUTH_INFO = "SSH_AUTH_INFO_0"  # sshd tells PAM by what the user proved who he is: PAM's environment


def hold_session(config: HostConfig, environment: Mapping[str, str], parent: int) -> None:
    """Hold the session or job that is about to begin to its grant, if it is one's.

    Args:
        config: of this host.
        environment: as pam_exec gives it.
        parent: the process that PAM works for.

    Raises:
        RefusedError: it must not begin; for a login its connection was ended as well.
        UnavailableError: the daemon does not answer: nobody would end it.
        MisconfiguredError: sshd told PAM nothing.
    """
    if environment.get("PAM_TYPE") != "open_session":
        return  # the end of a session ends no grant
    service = environment.get("PAM_SERVICE", "")
    account = environment.get("PAM_USER", "")
    settings = config.settings
    if service in settings.job_services and account in _used_accounts(config):
        _ask(settings, "job", account=account, pid=parent)
    if service not in settings.login_services:
        return
    try:
        said = environment.get(AUTH_INFO)
        if said is None:
            raise MisconfiguredError(
                f"sshd gave PAM no {AUTH_INFO}: what it let in cannot be told; not let in",
                hint="UsePAM yes, and OpenSSH 7.6 or newer",
            )
        for certificate in _certificates(said):
            # An ordinary user's needs no daemon: nobody is locked out because ours is away.
            if signed_by(certificate, config.ca_blob()) is not None:
                _ask(settings, "login", account=account, pid=parent, certificate=certificate)
    except Exception:
        # sshd would keep the connection, without a session: nothing of it shall stay.
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent, signal.SIGTERM)
        raise


def _used_accounts(config: HostConfig) -> list[str]:
    """Return the accounts that a living grant may use, or one that has just ended.

    Everybody else's jobs begin without the daemon, root's own above all.
    """
    try:
        return config.used_accounts.read_text("ascii").split()
    except FileNotFoundError:
        return []  # no daemon was ever started here, and nobody let in
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"{str(config.used_accounts)!r} cannot be read: no job begins: {reason(error)}"
        ) from error


def _certificates(said: str) -> list[str]:
    """Return every certificate of lines like ``publickey TYPE BASE64``."""
    words = [line.split() for line in said.splitlines()]
    return [f"{TYPE} {line[2]}" for line in words if line[:2] == ["publickey", TYPE] and line[2:]]


def _ask(settings: SshdSettings, verb: str, **fields: Json) -> None:
    answer = parse_strict(call(settings.socket, write_request(verb, **fields)), "the answer")
    error = answer.get("error") if isinstance(answer, Mapping) else {"message": "not read"}
    if error is None:
        return
    told = error if isinstance(error, Mapping) else {}
    name, message = name_of(str(told.get("name"))), str(told.get("message"))
    kind = UnavailableError if name in (ErrorName.UNAVAILABLE, ErrorName.INTERNAL) else RefusedError
    raise kind(message, name=name, hint=str(told.get("hint", "")))
