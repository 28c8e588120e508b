"""The lines that a host's own files need; printed, never written."""

from __future__ import annotations

from collections.abc import Sequence

from breakglass.sshd.host_config import HostConfig


def setup_lines(config: HostConfig, accounts: Sequence[str], program: str) -> str:
    """Return the lines for sshd_config, PAM and authorized_keys.

    Args:
        config: of this host.
        accounts: those that grants reach; planted keys shall not open them.
        program: where ``breakglass-sshd`` lies; owned by root, as sshd demands.
    """
    settings, folder = config.settings, config.folder
    called = f"{program} --folder {folder}"
    lines = [
        "# /etc/ssh/sshd_config.d/breakglass.conf",
        "UsePAM yes",
        f"TrustedUserCAKeys {config.ca}",
        f"RevokedKeys {config.krl}",
        f"AuthorizedPrincipalsCommand {called} principals %u %k %t %F",
        f"AuthorizedPrincipalsCommandUser {settings.user}",
        "PermitUserRC no",
    ]
    if accounts:
        lines += [f"Match User {','.join(accounts)}", "    AuthorizedKeysFile none", "Match all"]
    for service in (*settings.login_services, *settings.job_services):
        lines += [
            "",
            f"# /etc/pam.d/{service}: the last session line, behind every include; and take",
            "# 'user_readenv=1' out there: an account would become root by its ~/.pam_environment",
            f"session required pam_exec.so quiet seteuid {called} session",
        ]
    lines += [
        "",
        f"# ~{settings.user}/.ssh/authorized_keys: the minter's own key",
        f'restrict,command="{called} control" ssh-ed25519 <the minter\'s control key>',
        "",
        "# as root, and started again whenever it ends:",
        f"{called} serve",
    ]
    return "\n".join(lines) + "\n"
