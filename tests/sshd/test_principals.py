"""``principals`` names the handle of a proven grant, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breakglass.clock import Clock, OffsetClock, SystemClock, format_time
from breakglass.demo.software_keys import SoftKey
from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.sshd.main import main
from tests.kit.organisation import Broken
from tests.kit.ssh_grants import GLASS, SshOrganisation, certificate
from tests.sshd.conftest import Place


def asked(place: Place, line: str, account: int = 0, clock: Clock | None = None) -> int:
    kind, _, base64 = line.partition(" ")
    folder, account_name = str(place.host.folder), place.host.accounts[account]
    words = ["principals", "--folder", folder, account_name, base64, kind, "SHA256:ca"]
    return main(words, clock)


def altered(token: bytes) -> bytes:
    return token.replace(b"\nproof ", b"\ndoor\nproof ")


def forged_token(org: SshOrganisation, broken: Broken) -> bytes:
    return org.token_of(broken, key=SoftKey.of("a thief"))


FORGED: dict[str, tuple[str, Callable[[SshOrganisation, Broken], dict[str, Any]]]] = {
    "no token": ("no_proof", lambda org, of: {"token": b""}),
    "a token that is none": ("malformed", lambda org, of: {"token": b"breakglass.dev/token/v2\n"}),
    "a line too many": ("malformed", lambda org, of: {"token": altered(org.token_of(of))}),
    "shown by a thief": ("holder", lambda org, of: {"token": forged_token(org, of)}),
    "over a thief's key": ("holder", lambda org, of: {"holder": SoftKey.of("a thief").public}),
    "another serial": ("mismatch", lambda org, of: {"serial": 7}),
    "another key id": ("mismatch", lambda org, of: {"key_id": b"breakglass-INC-4821-sam"}),
    "an account as principal": ("mismatch", lambda org, of: {"valid_principals": [b"bg_root"]}),
    "longer": (
        "mismatch",
        lambda org, of: {"valid_before": int(of.intent.not_after.timestamp()) + 1},
    ),
    "earlier": (
        "mismatch",
        lambda org, of: {"valid_after": int(of.intent.not_before.timestamp()) - 122},
    ),
    "a forwarding that nobody signed": (
        "mismatch",
        lambda org, of: {
            "extensions": {
                b"permit-port-forwarding": b"",
                b"token@breakglass.dev": org.token_of(of),
            }
        },
    ),
    "another grant's token": (
        "holder",
        lambda org, of: {"token": org.token_of(of, presentation={"statement": "0" * 64})},
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_certificate_of_a_stolen_ca_key_lets_nobody_in(
    place: Place, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, change = FORGED[how]
    broken = place.org.grant()
    assert asked(place, certificate(place.org, broken)) == 0
    assert capsys.readouterr().out.split() == [broken.intent.handle]
    assert asked(place, certificate(place.org, broken, **change(place.org, broken))) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"({name})" in said.err


def test_who_the_scope_does_not_name_is_not_let_in(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "another account": ({"accounts": (place.host.accounts[1],)}, "wrong_scope"),
        "another host": ({"hosts": ("web-2",)}, "wrong_scope"),
    }
    for scope, name in cases.values():
        broken = place.org.grant(scope=scope)
        assert asked(place, certificate(place.org, broken)) == 1
        assert f"({name})" in capsys.readouterr().err


def test_a_token_for_another_minter_lets_nobody_in(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = place.org.grant(minter="other")
    assert asked(place, certificate(place.org, broken)) == 1
    assert "(wrong_minter)" in capsys.readouterr().err


def test_a_drill_lets_nobody_in(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    broken = place.org.grant(drill=True)
    assert asked(place, certificate(place.org, broken)) == 1
    assert "(not_offered)" in capsys.readouterr().err


def test_the_clock_decides_and_no_skew_is_given_at_the_end(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = place.org.grant(for_s=600)
    line = certificate(place.org, broken)
    for offset_s, code, name in (
        (-100, 0, ""),  # within the skew of 120 s before the beginning
        (-200, 1, "clock_behind"),
        (590, 0, ""),
        (602, 1, "expired"),
    ):
        clock = OffsetClock(SystemClock(), timedelta(seconds=offset_s))
        assert asked(place, line, clock=clock) == code
        assert name in capsys.readouterr().err


def test_a_clock_behind_what_a_witness_signed_brings_no_expired_token_back(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = place.org.grant()
    newest = place.host.folder / "state" / "newest"
    before = newest.read_bytes() if newest.exists() else None
    newest.write_text(format_time(datetime.now(UTC) + timedelta(hours=1)))
    try:
        assert asked(place, certificate(place.org, broken)) == 1
        assert "(clock_behind)" in capsys.readouterr().err
        newest.write_text("tomorrow")
        assert asked(place, certificate(place.org, broken)) == 1
    finally:
        newest.unlink() if before is None else newest.write_bytes(before)


def test_without_the_list_of_the_ended_nobody_of_a_grant_is_let_in(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    session = place.begin()
    ended = place.host.folder / "state" / "ended"
    kept = ended.read_bytes()
    ended.unlink()
    try:
        assert asked(place, session.line) == 1
        assert "(unavailable)" in capsys.readouterr().err
    finally:
        ended.write_bytes(kept)
    assert asked(place, session.line) == 0
    session.cut()
    capsys.readouterr()
    assert asked(place, session.line) == 1
    assert "(ended)" in capsys.readouterr().err


def test_the_krl_alone_refuses_a_serial_that_was_cut(place: Place) -> None:
    session = place.begin()
    session.cut()
    ended = place.host.folder / "state" / "ended"
    kept = ended.read_bytes()
    ended.write_bytes(b"")
    try:
        assert asked(place, session.line) == 0
        assert session.runs("id").returncode == 255
        assert "revoked by file" in place.host.log
    finally:
        ended.write_bytes(kept)


def test_an_ordinary_ca_lets_in_as_before_and_never_by_a_handle(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, org = place.host, place.org
    ordinary = SshOrganisation(kinds="2", ca=Ed25519PrivateKey.generate())
    (host.folder / "cas.pub").write_text(f"{org.ca_public}\n{ordinary.ca_public}\n")
    account = host.accounts[0]
    broken = org.grant()
    line = certificate(org, broken, ca=ordinary.ca, token=b"", valid_principals=[account.encode()])
    assert place.shown(broken, line).runs("id", "-un").stdout.strip() == account
    host.kill_daemon()
    try:  # whose daemon is away locks none of them out
        assert place.shown(broken, line).runs("id", "-un").stdout.strip() == account
    finally:
        host.start_daemon()
    stolen = certificate(org, broken, ca=ordinary.ca)  # names the handle, carries a good token
    assert place.shown(broken, stolen).runs("id").returncode == 255
    settings = host.folder / "settings.toml"
    kept = settings.read_text()
    try:
        settings.write_text(kept + f'ordinary_principals = "{tmp_path}/%u"\n')
        (tmp_path / account).write_text(f"# ours\nops\nbg_{'a' * 12}\ncert-authority bg_x\n")
        assert asked(place, line) == 0
        assert capsys.readouterr().out.split() == ["ops"]
    finally:
        settings.write_text(kept)


def test_a_trust_file_that_does_not_hold_lets_nobody_in(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = place.org.grant()
    trust = place.host.folder / "trust"
    kept = trust.read_bytes()
    try:
        trust.write_bytes(kept.replace(b"skew 120s", b"skew 600s"))
        assert asked(place, certificate(place.org, broken)) == 1
        trust.write_bytes(kept)
        trust.chmod(0o666)
        assert asked(place, certificate(place.org, broken)) == 1
        assert "can be written by others" in capsys.readouterr().err
    finally:
        trust.write_bytes(kept)
        trust.chmod(0o644)


def test_a_token_whose_card_has_three_hundred_people_passes_through_sshd(place: Place) -> None:
    org = place.org
    lines = [PersonLine(name, (May.BREAK,), (key.public,)) for name, key in org.people.items()] + [
        PersonLine(f"p{n:03}", (May.BREAK,), (SoftKey.of(f"p{n}").public,)) for n in range(296)
    ]
    org.lists[GLASS] = PeopleList(lines)
    try:
        broken = org.grant()
        line = certificate(org, broken)
        session = place.shown(broken, line)
    finally:
        del org.lists[GLASS]
    done = session.runs("id", "-un")
    assert done.returncode == 0, done.stderr
    session.cut()


def test_a_source_address_of_the_grant_is_held_to_by_sshd(place: Place) -> None:
    near = place.begin("web-office", scope={"source": ("127.0.0.0/8",)})
    assert near.runs("id").returncode == 0
    far = place.begin("web-office", scope={"source": ("10.0.0.0/8",)})
    assert far.runs("id").returncode == 255
    near.cut()


def test_the_token_is_not_in_what_we_say(place: Place) -> None:
    session = place.begin(scope={"hosts": ("web-2",)})
    kind, _, base64 = session.line.partition(" ")
    folder, account = str(place.host.folder), place.host.accounts[0]
    words = ("--folder", folder, "principals", account, base64, kind, "x")
    done = subprocess.run(
        [place.host.program, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not re.search(r"[A-Za-z0-9+/]{60}", done.stderr)
