"""The certificate of a grant, as the contract of its two halves says, and as OpenSSH reads it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.minter.platforms.ssh_certificate import (
    CertificateAuthority,
    public_line,
)
from breakglass.person import ssh_keygen
from breakglass.records.grant import serial_of
from tests.kit.ssh_platform import ssh_order


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    ssh_keygen.make_key(tmp_path / "ca", "ca")
    return CertificateAuthority(tmp_path / "ca")


def read(certificate: str) -> SSHCertificate:
    found = load_ssh_public_identity(certificate.encode())
    assert isinstance(found, SSHCertificate)
    found.verify_cert_signature()
    return found


def test_it_is_the_holders_key_with_the_handle_as_its_only_principal(
    authority: CertificateAuthority,
) -> None:
    order = ssh_order()
    made = read(authority.certify(order))
    assert made.valid_principals == [order.handle.encode()]
    assert made.serial == serial_of(order.handle)
    assert made.key_id == b"breakglass-INC-4821-mira"
    assert made.critical_options == {}
    assert made.extensions == {b"permit-pty": b"", b"token@breakglass.dev": order.token}
    holder = load_ssh_public_identity(order.holder.encode())
    assert not isinstance(holder, SSHCertificate)
    assert made.public_key() == holder


def test_no_part_of_a_second_is_given_beyond_the_end(authority: CertificateAuthority) -> None:
    begins = datetime(2026, 6, 22, 3, 14, 9, 900_000, tzinfo=UTC)
    order = replace(ssh_order(), not_before=begins, expires=begins + timedelta(seconds=60))
    made = read(authority.certify(order))
    assert made.valid_after == int(begins.timestamp())
    assert made.valid_before == int(begins.timestamp()) + 60


def test_networks_and_forwarding_stand_in_it_where_the_card_has_them(
    authority: CertificateAuthority,
) -> None:
    scope = {"hosts": ("web-1",), "accounts": ("deploy",), "may": ("forward",)}
    order = ssh_order(scope=scope, source=("10.0.0.0/8", "192.0.2.7/32"))
    made = read(authority.certify(order))
    assert made.critical_options == {b"source-address": b"10.0.0.0/8,192.0.2.7/32"}
    assert b"permit-port-forwarding" in made.extensions
    assert not {b"permit-agent-forwarding", b"permit-X11-forwarding", b"permit-user-rc"} & set(
        made.extensions
    )


def test_openssh_reads_it_with_a_token_of_full_length(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    order = ssh_order(token=b"t" * 12_288)
    (tmp_path / "made.pub").write_text(authority.certify(order))
    said = subprocess.run(
        ["ssh-keygen", "-L", "-f", tmp_path / "made.pub"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert order.handle in said
    assert f"Serial: {serial_of(order.handle)}" in said
    assert "token@breakglass.dev" in said


@pytest.mark.parametrize("holder", ["", "ssh-rsa AAAA", "ssh-ed25519 AAAA"])
def test_another_holder_key_is_refused(authority: CertificateAuthority, holder: str) -> None:
    with pytest.raises(MalformedError, match="made for an 'ssh-ed25519' key") as caught:
        authority.certify(ssh_order(holder=holder))
    assert caught.value.name == "holder_key"


def test_a_key_that_others_may_read_or_of_another_type_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    with pytest.raises(MisconfiguredError, match="cannot be read: No such file"):
        public_line(path)
    ssh_keygen.make_key(path, "ca")
    path.chmod(0o640)
    with pytest.raises(MisconfiguredError, match="can be read by others") as caught:
        public_line(path)
    assert caught.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n")
    with pytest.raises(MisconfiguredError, match="holds no 'ssh-ed25519' key") as caught:
        public_line(path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
