"""Hosts with OpenSSH's own sshd: a certificate for the holder's key, asked for its token at login.

Nothing secret is made. Each host decides offline by the token inside the certificate, and ends what
a grant runs there by its own clock; this half announces, signs, and asks every host about the end.
Source: docs/reference/minters.md, «SSH»; decision minter-8.
"""

from __future__ import annotations

import logging
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from breakglass.canonical import Json
from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Description,
    Finding,
    Order,
)
from breakglass.minter.platforms.ssh_answers import (
    LEFT_AT_MOST,
    Cut,
    Described,
    Evidence,
    Findings,
    Left,
    Listed,
    Opened,
    Used,
)
from breakglass.minter.platforms.ssh_certificate import CertificateAuthority
from breakglass.minter.platforms.ssh_hosts import Answers, SshHosts, SshSettings
from breakglass.records.encoding.text_types import one_line
from breakglass.records.grant import serial_of
from breakglass.records.platforms import MAY, PLATFORMS

log = logging.getLogger("breakglass.minter")
_T = TypeVar("_T")
_ID_CHARACTERS = 200  # a ``Word`` of a record
_HOST_PARTS, _AWAY_PARTS = 12, 3  # a record holds 16 ids, one is the serial
_FEWER = f"expected hosts whose names fit {_HOST_PARTS} lines of {_ID_CHARACTERS} characters"
_SPLIT = "make two glasses of it, each with some of the hosts"


class Ssh:
    """See the module and ``Platform``.

    Args:
        settings: keys and hosts.
        minter: this minter's name; a host serves one minter, and must say this one.
        folder: where the hosts' keys are written for ``ssh``.

    Raises:
        MisconfiguredError: a key cannot be used.
    """

    def __init__(self, settings: SshSettings, minter: str, folder: Path) -> None:
        self._minter, self._account = minter, settings.account
        self._authority = CertificateAuthority(settings.ca_key)
        self._hosts = SshHosts(settings, folder)
        # What was signed, so that its end can be tried with it. After a restart a host tries by the
        # handle alone, from which the serial follows.
        self._signed: dict[str, str] = {}
        self._lock = threading.Lock()

    def describe(self) -> Description:
        """Return what SSH can do, and which hosts these are; see ``Platform.describe``."""
        names = ", ".join(self._hosts.by_name) or "no host"
        return Description(PLATFORMS["ssh"], one_line(f"ssh: {names}"))

    def mint(self, order: Order) -> Credential:
        """Announce the grant at its hosts, then sign; see ``Platform.mint``.

        The holder's key is the secret, and stays the same: minting again gives the same grant once
        more, and cuts nothing. What was cut is never minted again (``ended``).
        """
        hosts, accounts = self._check_scope(order)
        # (1) Announce. The hosts take down what stood in the accounts before anybody comes. A crash
        #     behind this leaves a name that nobody has a certificate for; the sweep takes it away.
        opened = self._hosts.ask(dict.fromkeys(hosts, _announced(order, accounts)), "open", Opened)
        refusal = next((e for e in opened.failed.values() if isinstance(e, RefusedError)), None)
        if refusal is not None:
            self._take_back(order.handle, opened)
            raise refusal
        if not opened.said:
            opened.whole()
        # (2) Sign. A host that is away lets the holder in by the token alone, once it is back.
        certificate = self._authority.certify(order)
        with self._lock:
            self._signed[order.handle] = certificate
        places = {f"host.{name}": self._hosts.by_name[name].place for name in hosts}
        return Credential(
            order.handle,
            {"certificate": certificate},
            {"accounts": " ".join(accounts), **places},
            _ids(order.handle, hosts, tuple(opened.failed)),
            order.expires,
        )

    def probe(self, credential: Credential) -> str:
        """Have each host that was told of it judge the certificate; see ``Platform.probe``.

        One that lets the holder in is enough, as one is enough to mint; the others are named.
        """
        away = _named_in(credential.ids, "away")
        known = [name.removeprefix("host.") for name in credential.connect if name != "accounts"]
        asked: dict[str, Json] = {
            "certificate": str(credential.secret["certificate"]),
            "account": str(credential.connect["accounts"]).split()[0],
        }
        hosts = [name for name in known if name not in away]
        tried = self._hosts.ask(dict.fromkeys(hosts, asked), "probe", Evidence)
        if not tried.said:
            why = "; ".join(each.message for each in tried.failed.values())
            raise UnavailableError(
                one_line(f"certificate {credential.handle!r} does not work yet: {why}"),
                name=ErrorName.NOT_USABLE,
            )
        first, *others = tried.said.items()
        not_yet = [*away, *tried.failed]
        more = f"; likewise {', '.join(name for name, _ in others)}" if others else ""
        less = f"; not told yet: {', '.join(not_yet)}" if not_yet else ""
        return one_line(f"{credential.handle}: {first[1].evidence}{more}{less}")

    def cut(self, account: Account) -> int:
        """Have every host of the grant end it; see ``Platform.cut``."""
        given: dict[str, Json] = {"handle": account.handle, "ids": dict(account.ids)}
        return _sessions(self._at_end(account, "cut", given, Cut))

    def tidy(self, account: Account) -> tuple[str, ...]:
        """Have every host look for what the grant left; see ``Platform.tidy``."""
        found = self._at_end(account, "tidy", {"handle": account.handle}, Left)
        _refuse_alive(account, found)
        left = [
            f"{name}: {each}" for name, told in found.whole().items() for each in told.left_behind
        ]
        with self._lock:
            self._signed.pop(account.handle, None)
        if len(left) > LEFT_AT_MOST:
            more = len(left) - LEFT_AT_MOST + 1
            left = [*left[: LEFT_AT_MOST - 1], f"{more} more; each host's daemon keeps its list"]
        return tuple(map(one_line, left))

    def cut_idle(self, account: Account) -> int:
        """Have every host end it where nobody works; see ``Platform.cut_idle``."""
        return _sessions(self._at_end(account, "cut-idle", {"handle": account.handle}, Cut))

    def used_within(self, account: Account, within: timedelta) -> bool:
        """Ask every host; see ``Platform.used_within``."""
        given: dict[str, Json] = {
            "handle": account.handle,
            "within_s": int(within.total_seconds()),
        }
        found = self._at_end(account, "used", given, Used)
        if any(each.used for each in found.said.values()):
            return True
        found.whole()  # one that did not answer may be where somebody works
        return False

    def probe_dead(self, account: Account) -> str:
        """Have every host try the certificate and look for processes; see ``Platform``."""
        with self._lock:
            signed = self._signed.get(account.handle)
        given: dict[str, Json] = {"handle": account.handle, "certificate": signed}
        found = self._at_end(account, "probe-dead", given, Evidence)
        _refuse_alive(account, found)
        told = "; ".join(each.evidence for each in found.whole().values())
        return one_line(f"login refused at {', '.join(found.said) or 'no host'}: {told}")

    def handles(self) -> list[str]:
        """Return what stands at the hosts that answer; see ``Platform.handles``.

        A host that is away must not hide what stands at the others; it ends what it has by its own
        clock, and is asked again with the next sweep.
        """
        found = self._hosts.ask(
            {name: {} for name in self._hosts.by_name}, "list", Listed, ending=True
        )
        if not found.said:
            found.whole()
        for each in found.failed.values():
            log.warning("what stands at one host is not known: %s", each)
        # In turns of the hosts: one that names thousands hides nothing that stands at the others.
        turns = zip_longest(*(each.handles for each in found.said.values()))
        return list(dict.fromkeys(handle for turn in turns for handle in turn if handle))

    def examine(
        self, scopes: Sequence[Mapping[str, tuple[str, ...]]], now: datetime
    ) -> tuple[Finding, ...]:
        """Ask each host who it is and what it lacks for these scopes; see ``Platform.examine``."""
        return tuple(self._examined(scopes))

    def close(self) -> None:
        """Begin no further call."""
        self._hosts.close()

    def _check_scope(self, order: Order) -> tuple[tuple[str, ...], tuple[str, ...]]:
        scope = order.scope
        hosts, accounts = scope.get("hosts", ()), scope.get("accounts", ())
        if not hosts or not accounts or scope.keys() - {"hosts", "accounts", MAY}:
            raise _unknown("expected hosts and accounts", ", ".join(scope) or "none")
        if strange := [each for each in hosts if each not in self._hosts.by_name]:
            raise _unknown("expected hosts of this minter's settings", repr(strange[0]))
        if _parts("hosts", hosts, _HOST_PARTS) is None:
            raise _unknown(_FEWER, f"{len(hosts)} of them")
        if self._account in accounts:
            raise _unknown("expected accounts of people or of work", f"{self._account!r}, our own")
        return hosts, accounts

    def _take_back(self, handle: str, opened: Answers[Opened]) -> None:
        # What fails here stands as a name without a certificate, until the sweep or its end.
        given: dict[str, Json] = {"handle": handle}
        for verb, told, kind in (("cut", {**given, "ids": {}}, Cut), ("tidy", given, Left)):
            self._hosts.ask(dict.fromkeys(opened.said, told), verb, kind, ending=True)

    def _at_end(
        self, account: Account, verb: str, given: Mapping[str, Json], kind: type[_T]
    ) -> Answers[_T]:
        # Of what a crash left behind nobody knows the hosts: then all are asked.
        hosts = _named_in(account.ids, "hosts") or tuple(self._hosts.by_name)
        return self._hosts.ask(dict.fromkeys(hosts, given), verb, kind, ending=True)

    def _examined(self, scopes: Sequence[Mapping[str, tuple[str, ...]]]) -> Iterator[Finding]:
        accounts: dict[str, set[str]] = {name: set() for name in self._hosts.by_name}
        for scope in scopes:
            if _parts("hosts", scope.get("hosts", ()), _HOST_PARTS) is None:
                yield Finding(f"{len(scope['hosts'])} hosts in one glass: {_FEWER}", _SPLIT)
            for name in scope.get("hosts", ()):
                accounts.setdefault(name, set()).update(scope.get("accounts", ()))
        told = self._hosts.ask({name: {} for name in accounts}, "describe", Described)
        for name, error in told.failed.items():
            hint = (
                error.hint or f"try it: ssh -v {self._account}@{name}; on it: breakglass-sshd check"
            )
            yield Finding(f"{name}: {error.message}", hint)
        asked: dict[str, dict[str, Json]] = {}
        for name, said in told.said.items():
            if (said.host, said.minter) == (name, self._minter):
                asked[name] = {"accounts": sorted(accounts[name])}
                continue
            yield Finding(
                f"host {name!r} calls itself {said.host!r}, of minter {said.minter!r}; here it"
                f" is {name!r} of {self._minter!r}",
                f"make the names equal: [[ssh.hosts]] here, or settings.toml on {name}",
            )
        found = self._hosts.ask(asked, "check", Findings)
        for name, error in found.failed.items():
            yield Finding(error.message, f"on {name}: breakglass-sshd check")
        for name, answer in found.said.items():
            for each in answer.findings:
                yield Finding(one_line(f"{name}: {each.says}"), one_line(each.hint), each.stops)


def _announced(order: Order, accounts: tuple[str, ...]) -> dict[str, Json]:
    return {
        "handle": order.handle,
        "grant": order.grant,
        "serial": str(serial_of(order.handle)),
        "accounts": list(accounts),
        "not_before": format_time(order.not_before),
        "expires": format_time(order.expires),
    }


def _unknown(wanted: str, got: str) -> RefusedError:
    return RefusedError(
        f"scope: {wanted}, got {got}; nothing was minted", name=ErrorName.SCOPE_UNKNOWN
    )


def _refuse_alive(account: Account, found: Answers[_T]) -> None:
    for name, error in found.failed.items():
        if error.name == ErrorName.ALIVE:
            raise RefusedError(
                one_line(f"{account.handle!r} may still log in at {name}: {error.message}"),
                name=ErrorName.ALIVE,
            )


def _sessions(found: Answers[Cut]) -> int:
    return sum(each.sessions for each in found.whole().values())


def _ids(handle: str, hosts: tuple[str, ...], away: tuple[str, ...]) -> dict[str, str]:
    """Return what the records and our own table keep: the serial, the hosts, those away.

    All hosts, always: of one that stands nowhere nobody would be asked about the end, once it is
    taken out of the settings. Those away are for the first try alone, and may be too many.
    """
    hosts_kept = _parts("hosts", hosts, _HOST_PARTS)
    assert hosts_kept is not None  # ``_check_scope``
    away_kept = _parts("away", away, _AWAY_PARTS) or {}
    return {"serial": str(serial_of(handle)), **hosts_kept, **away_kept}


def _parts(name: str, values: Sequence[str], most: int) -> dict[str, str] | None:
    """Return names as so many ids, or ``None`` if they do not fit."""
    parts = textwrap.wrap(" ".join(values), _ID_CHARACTERS, break_on_hyphens=False)
    return (
        {f"{name}-{at}": part for at, part in enumerate(parts, 1)} if len(parts) <= most else None
    )


def _named_in(ids: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = (ids.get(f"{name}-{at}", "") for at in range(1, _HOST_PARTS + 1))
    return tuple(" ".join(parts).split())
