"""Who could still erase or rewrite what, computed from who holds which key; and what comes next.

Pure: an installation in, sentences out. Whoever is root on a host has every key on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

from breakglass.operate.key_inventory import HERE, UNSEEN, Installation

NOBODY = "nobody"
_TOGETHER_AT_MOST = 3  # hosts that would have to fall together; more is not a plan


@dataclass(frozen=True)
class Power:
    """Something that whoever is root somewhere could do.

    Attributes:
        name: a stable word.
        what: the deed.
        by: the hosts on each of which root alone can do it; empty if no one host suffices.
        said: who can, in words.
        noticed: by whom, and when.
    """

    name: str
    what: str
    by: tuple[str, ...]
    said: str
    noticed: str


@dataclass(frozen=True)
class Step:
    """The next cheapest step; ``command`` is empty where it is no command of ours."""

    name: str
    says: str
    command: str = ""


def powers(found: Installation) -> list[Power]:
    """Return what could be done, the worst last."""
    return [
        _minting(found),
        _silencing(found),
        _ruling(found),
        _editing(found),
        _erasing(found),
        _losing_all(found),
        _forging(found),
    ]


def next_step(found: Installation, channels: int) -> Step:
    """Return the cheapest step that takes a power away.

    Args:
        found: the installation.
        channels: on how many the monitor rings.
    """
    by = {each.name: each.by for each in powers(found)}
    key = found.trust.tlog.logs[0].vkey.label
    if by["rewrite"] or by["lose_all"]:
        return Step(
            "second_host",
            "give the archiver and one witness a second host, under another administrator",
            "breakglass join ledger --listen IP:PORT  (it prints what to type on the second host)",
        )
    if by["rule"]:
        return Step(
            "second_maintainer",
            "let a second human being be the second maintainer, with a key of their own",
            "breakglass trust maintainer replace OLD NEW --key FILE",
        )
    if not found.archive.locked:
        return Step(
            "object_lock",
            "put the archive into a bucket that locks: then its own administrator cannot erase it",
            "breakglass join archiver --s3 s3://BUCKET …  (see ledger-in-another-account.md)",
        )
    if channels < 2:
        return Step("channels", "add a second channel, off this host, to monitor/settings.toml")
    if found.host_of("monitor") == found.host_of("ledger"):
        return Step("monitor", "move monitor/ to another host than the ledger's")
    return Step("none", f"no cheap step is left for log {key}; look again after each change")


def _editing(found: Installation) -> Power:
    host = found.host_of("ledger")
    return Power(
        "edit",
        "edit the journal",
        _seen(host),
        _root(host),
        _watchers(found, {host}, "at its next start or commit"),
    )


def _erasing(found: Installation) -> Power:
    archive = found.archive
    what = "erase the archive"
    if archive.locked:
        said = f"{NOBODY}, before the lock ends"
        return Power("erase", what, (), said, "its doctor, daily")
    if archive.where.startswith("s3://"):
        return Power("erase", what, (), "whoever holds the bucket", "its doctor, daily")
    noticed = _watchers(found, {archive.host}, "from the heads they kept", archiver=False)
    return Power("erase", what, _seen(archive.host), _root(archive.host), noticed)


def _losing_all(found: Installation) -> Power:
    hosts = _single(found, lambda host: host == found.host_of("ledger") == found.archive.host)
    if found.archive.locked:
        hosts = ()
    said = _several(hosts) if hosts else "no one host"
    noticed = _heads_elsewhere(found, set(hosts)) if hosts else "-"
    return Power("lose_all", "erase journal, archive", hosts, said, noticed)


def _forging(found: Installation) -> Power:
    def can(*hosts: str) -> bool:
        return found.host_of("ledger") in hosts and found.trust.tlog.quorum_met(
            found.cosigners_at(*hosts)
        )

    hosts = _single(found, can)
    said, noticed = _several(hosts), "nobody: signatures verify"
    if not hosts:
        said, noticed = f"no one host{_together(found, can)}", "each witness, at once"
    return Power("rewrite", "rewrite all, signed", hosts, said, noticed)


def _ruling(found: Installation) -> Power:
    needed = found.trust.maintainers_needed

    def can(host: str) -> bool:
        people = [each for each in found.holdings if each.room == "maintainer"]
        return sum(each.host == host for each in people) >= needed

    hosts = _single(found, can)
    said = _several(hosts) if hosts else f"no one host: {needed} sign"
    noticed = "the monitor, and the ledger for ever"
    return Power("rule", "change policy, trust", hosts, said, noticed)


def _minting(found: Installation) -> Power:
    minters = [each for each in found.holdings if each.room == "minter"]
    hosts = tuple(dict.fromkeys(each.host for each in minters if each.host != UNSEEN))
    unseen = any(each.host == UNSEEN for each in minters)
    if not minters:
        said, noticed = f"{NOBODY}: there is no minter", "-"
    else:
        said = " and ".join([*map(_root, hosts), *(["a host not seen"] if unseen else [])])
        noticed = "the target's own log"
    return Power("mint", "mint without a record", hosts, said, noticed)


def _silencing(found: Installation) -> Power:
    host = found.host_of("monitor")
    others = {
        each.room
        for each in found.holdings
        if each.room in ("broker", "minter") and each.host not in (host, UNSEEN)
    }
    noticed = f"{' and '.join(sorted(others))}, within 3 min" if others else "no other host"
    return Power("silence", "silence the alerts", _seen(host), _root(host), noticed)


def _watchers(found: Installation, hosts: set[str], when: str, archiver: bool = True) -> str:
    names = [
        each.party
        for each in found.holdings
        if each.room in ("witness", "archiver", "monitor")
        and each.host not in {*hosts, UNSEEN}
        and (archiver or each.room != "archiver")
    ]
    return f"{', '.join(names)}: {when}" if names else "no other host"


def _heads_elsewhere(found: Installation, hosts: set[str]) -> str:
    return _watchers(found, hosts, "heads only", archiver=False)


def _single(found: Installation, can: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(host for host in found.hosts() if can(host))


def _together(found: Installation, can: Callable[..., bool]) -> str:
    for count in range(2, _TOGETHER_AT_MOST + 1):
        for hosts in combinations(found.hosts(), count):
            if can(*hosts):
                return f"; {' and '.join(hosts)} together"
    return ""


def _seen(host: str) -> tuple[str, ...]:
    return () if host == UNSEEN else (host,)


def _several(hosts: Iterable[str]) -> str:
    return " or ".join(map(_root, hosts))


def _root(host: str) -> str:
    return "a host not seen from here" if host == UNSEEN else f"root on {host}"


def one_host(found: Installation) -> bool:
    """Say whether whoever is root here can rewrite history with every signature right."""
    return HERE in next(each for each in powers(found) if each.name == "rewrite").by
