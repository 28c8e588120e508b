"""What this installation does not give, found by looking, and the next cheapest step.

Nothing here is changed. A *limit* is how the set-up is; a *wrong* is something to mend now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from breakglass.errors import BreakglassError
from breakglass.http.client import Peer
from breakglass.operate.certificate import CERTIFICATE, ends_at
from breakglass.operate.compromise_matrix import Power, Step, next_step, one_host, powers
from breakglass.operate.installation_check import (
    channels_of_monitor,
    channels_of_policy,
    not_offered,
)
from breakglass.operate.key_inventory import Installation, look
from breakglass.operate.maintainer_signing import card_life_left, read_signed
from breakglass.operate.retired_cosigners import moved_out
from breakglass.person import ssh_keygen
from breakglass.policy.certification import SOON, Then
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.records.trust import Level, accept_trust
from breakglass.tlog.note import Note

_SOON = timedelta(days=14)


class Weight(StrEnum):
    """How much a finding weighs."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what would be better."""

    weight: Weight
    name: str
    says: str
    step: str = ""


@dataclass(frozen=True)
class Examined:
    """All of it: who holds what, what could be done with it, the next step, and the rest."""

    installation: Installation | None
    powers: list[Power]
    step: Step | None
    findings: list[Finding]


def examine(org: Path, who: str, key: Path, now: datetime) -> Examined:
    """Look at an organisation's folder from its owner's side.

    Args:
        org: where ``client.toml`` lies.
        who: the person.
        key: the person's own key.
        now: for what expires.
    """
    installation = None
    unreadable: list[Finding] = []
    try:
        trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
        installation = look(org, trust, who, key)
    except (BreakglassError, OSError) as error:
        unreadable.append(Finding(Weight.FAIL, "unreadable", str(error)))
    findings = [*unreadable, *_findings(org, key, now, installation)]
    if installation is None:
        return Examined(None, [], None, findings)
    step = next_step(installation, _channel_count(org))
    return Examined(installation, powers(installation), step, findings)


def _findings(
    org: Path, key: Path, now: datetime, installation: Installation | None
) -> list[Finding]:
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _one_host(installation) if installation else iter(()),
        lambda: _archive(installation) if installation else iter(()),
        lambda: _generated_maintainer(org),
        lambda: _maintainers(org),
        lambda: _own_key(key),
        lambda: _trust(org),
        lambda: _cards(org, now),
        lambda: _policy(org, now),
        lambda: _certificates(org, now),
        lambda: _modes(org),
        lambda: _alive(org),
        lambda: _targets(org),
        lambda: _channels(org),
    )
    found: list[Finding] = []
    for each in looks:
        try:
            found += each()
        except (BreakglassError, OSError) as error:
            found.append(Finding(Weight.FAIL, "unreadable", str(error)))
    return found


def _one_host(found: Installation) -> Iterator[Finding]:
    if one_host(found):
        yield Finding(
            Weight.WARN,
            "one_host",
            "this host can forge a quorum alone: tamper-evident, not out of reach",
        )
    else:
        yield Finding(Weight.OK, "one_host", "no single host can forge a quorum of signatures")


def _archive(found: Installation) -> Iterator[Finding]:
    archive = found.archive
    looked = f", looked at {archive.looked}" if archive.looked else ""
    if archive.outcome == "failed":
        yield Finding(
            Weight.FAIL,
            "archive",
            f"the archive's doctor finds it wrong{looked}: {archive.where}",
            "breakglass archiver doctor, on the archiver's host",
        )
    elif archive.outcome == "held":
        yield Finding(Weight.OK, "archive", f"the archive holds{looked}: {archive.where}")
    else:
        yield Finding(
            Weight.WARN,
            "archive",
            "the archive's doctor has not been heard",
            "breakglass archiver doctor, on the archiver's host",
        )


def _generated_maintainer(org: Path) -> Iterator[Finding]:
    for path in sorted((org / "keys" / "maintainers").glob("*.pub")):
        if path.with_suffix("").is_file():
            yield Finding(
                Weight.WARN,
                "generated_maintainer",
                f"maintainer '{path.stem}' is a key file that was generated here: whoever reads"
                " this folder can change the policy with one key more",
                "give that place to a second human being: breakglass trust maintainer replace"
                f" {path.stem} NAME --key FILE",
            )


def _maintainers(org: Path) -> Iterator[Finding]:
    trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
    count, needed = len(trust.maintainers), trust.maintainers_needed
    if count == needed:
        yield Finding(
            Weight.FAIL,
            "maintainers",
            f"{needed} of {count} maintainers sign: one lost key, and nobody can change trust or"
            " policy any more; the cards end within 92 days",
            "breakglass trust maintainer add third --paper, or a person: add NAME --key FILE",
        )
    else:
        yield Finding(Weight.OK, "maintainers", f"{needed} of {count} maintainers sign")


def _own_key(key: Path) -> Iterator[Finding]:
    mine = ssh_keygen.read_key(key)
    if mine.hardware:
        yield Finding(Weight.OK, "own_key", "your key is a security key: two factors")
        return
    yield Finding(
        Weight.WARN,
        "own_key",
        "your key is a software key: one factor; a glass with 'mfa_age' refuses it",
        "ssh-keygen -t ed25519-sk, and put its public half into the bundle",
    )


def _trust(org: Path) -> Iterator[Finding]:
    trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
    kept = trust.level is not Level.WITNESSED
    says = f"tokens are accepted at level '{trust.level.value}', trust file {trust.version}"
    yield Finding(Weight.OK if kept else Weight.WARN, "trust", says)


def _cards(org: Path, now: datetime) -> Iterator[Finding]:
    left = card_life_left(read_signed(org / "bundle"), now)
    step = "breakglass policy renew"
    if left <= timedelta(0):
        yield Finding(Weight.FAIL, "cards", "a glass card has expired: it opens nothing", step)
    elif left < _SOON:
        yield Finding(Weight.FAIL, "cards", f"a glass card expires in {left.days} days", step)
    else:
        yield Finding(Weight.OK, "cards", f"the glass cards hold for {left.days} days more")


def _policy(org: Path, now: datetime) -> Iterator[Finding]:
    bundle = parse_bundle(read_bundle(org / "bundle"))

    def minters() -> dict[str, Any]:
        with Peer(org / "broker", name="broker", within=timedelta(seconds=2)) as broker:
            found: dict[str, Any] = broker.get("/minters").json()
            return found

    for each in not_offered(bundle, org, minters):
        yield Finding(Weight.FAIL, "not_offered", str(each), each.hint)
    people = bundle.directory.people.values()
    single = sorted(each.name for each in people if len(each.keys) == 1)
    if single:
        yield Finding(
            Weight.WARN,
            "one_key",
            f"{len(single)} of {len(people)} people have one key alone: who loses it opens nothing"
            f" ({', '.join(single[:5])}{' …' if single[5:] else ''})",
            "give each of them a second key, kept elsewhere",
        )
    for person in people:
        if person.ends and person.ends - now < _SOON:
            yield Finding(
                Weight.WARN,
                "until",
                f"the last day of '{person.name}' is {person.until}",
                f"breakglass policy person remove {person.name}; or a later 'until'",
            )
    yield from _certified(bundle, now)


def _certified(bundle: Bundle, now: datetime) -> Iterator[Finding]:
    if bundle.certify is None:
        return
    refuses = bundle.certify.then is Then.REFUSE
    for name, group in bundle.directory.groups.items():
        ends = bundle.certify.ends(group)
        if ends is not None and ends - now >= SOON:
            continue
        past = ends is None or now >= ends
        # ``ends`` is the first instant that does not count: the day before it is the last.
        last = f"certified to the end of {ends - timedelta(days=1):%Y-%m-%d}" if ends else ""
        when = f"{'was' if past else 'is'} {last or 'never certified'}"
        over = f", and {'' if past else 'then '}counts for nobody" if refuses else ""
        yield Finding(
            Weight.FAIL if past and refuses else Weight.WARN,
            "certified",
            f"group {name!r} {when}{over}",
            f"look through its members, then a new 'on' under groups.{name}.certified:"
            " breakglass policy sign, breakglass policy activate",
        )


def _certificates(org: Path, now: datetime) -> Iterator[Finding]:
    for path in sorted(org.glob(f"*/{CERTIFICATE}")):
        left = ends_at(path) - now
        if left < _SOON:
            yield Finding(
                Weight.FAIL,
                "certificate",
                f"the certificate {str(path)!r} ends in {max(left.days, 0)} days",
                "put a new one there, and its pin into every address that names it",
            )


def _modes(org: Path) -> Iterator[Finding]:
    open_keys = [path for path in org.glob("**/key") if path.stat().st_mode & 0o077]
    folders = [path.parent for path in org.glob("*/key") if path.parent.stat().st_mode & 0o077]
    for path in open_keys + folders:
        mode = path.stat().st_mode & 0o777
        wanted = "0600" if path.is_file() else "0700"
        yield Finding(
            Weight.FAIL,
            "modes",
            f"{str(path)!r} has mode {mode:04o}: others can read it",
            f"chmod {wanted} {path}; if somebody may have read it, make a new key",
        )
    if not open_keys + folders:
        yield Finding(Weight.OK, "modes", "keys and folders are closed to other users")


def _alive(org: Path) -> Iterator[Finding]:
    silent = []
    # A cosigner whose key was dropped has moved out, and is none of ours any more.
    folders = [path.parent for path in sorted(org.glob("*/settings.toml"))]
    parties = [each for each in folders if not moved_out(each)]
    for folder in parties:
        try:
            with Peer(folder, name=folder.name, within=timedelta(seconds=2)) as each:
                each.get("/healthz")
        except BreakglassError:
            silent.append(folder.name)
    if silent:
        yield Finding(
            Weight.FAIL,
            "alive",
            f"{len(silent)} of {len(parties)} processes do not answer: {', '.join(silent)}",
            f"breakglass up --org {org}",
        )
    else:
        yield Finding(Weight.OK, "alive", f"all {len(parties)} processes answer")


def _targets(org: Path) -> Iterator[Finding]:
    """Say what the minters of this host have found wrong at their targets."""
    for folder in (path.parent for path in sorted(org.glob("*/settings.toml"))):
        try:
            with Peer(folder, name=folder.name, within=timedelta(seconds=2)) as each:
                summary = each.get("/state").json().get("summary")
        except BreakglassError:
            continue  # told by ``_alive``, or not ours to ask
        for says in summary.get("target", ()) if isinstance(summary, dict) else ():
            yield Finding(Weight.WARN, "target", f"minter '{folder.name}': {says}")


def _channels(org: Path) -> Iterator[Finding]:
    count = _channel_count(org)
    if count < 2:
        yield Finding(
            Weight.WARN,
            "channels",
            f"alerts go to {count} channel, a file on this host: nobody is woken",
            "add a channel to the policy, or [channels.NAME] to monitor/settings.toml",
        )
    else:
        yield Finding(Weight.OK, "channels", f"alerts go to {count} channels")


def _channel_count(org: Path) -> int:
    """Count the channels that do not fail together: files on this host are one."""
    # Another host may have the monitor, or nobody.
    kinds = list({**channels_of_policy(org), **(channels_of_monitor(org) or {})}.values())
    return sum(kind != "log_file" for kind in kinds) + ("log_file" in kinds)
