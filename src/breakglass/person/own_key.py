"""Which key and which name a person has on this machine, where they name none."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import PersonalKey
from breakglass.records.signing.key_types import HOW_TO_MAKE_ONE

_USUAL_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa")
"""As ``ssh-keygen`` names what it makes, security keys first."""


def login_name() -> str:
    """Return this machine's login name in the form of a handle; ``me`` where there is none."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        return "me"  # a container's user need not have a name
    return re.sub(r"[^a-z0-9._-]", "-", login.lower()).strip("._-") or "me"


def find_key(public: Path, who: str) -> PersonalKey:
    """Find the person's SSH key: the first that the agent holds, else a usual file.

    Args:
        public: where the public half of the agent's key is written.
        who: stands behind it as a comment.

    Raises:
        MisconfiguredError: there is none that can be used.
    """
    held = ssh_keygen.agent_keys()
    if held:
        public.write_text(f"{held[0]} {who}\n", "ascii")
        return ssh_keygen.read_key(public.absolute())
    usual = Path(os.path.expanduser("~")) / ".ssh"  # ``~`` itself where there is no home folder
    for name in _USUAL_KEYS:
        if (usual / name).exists():
            return ssh_keygen.read_key(usual / name)
    refused = ssh_keygen.refused_keys(usual)
    if refused:
        raise MisconfiguredError(refused[0], name=ErrorName.NO_KEY)
    raise MisconfiguredError(
        "no SSH key: none in the agent, and no "
        + ", ".join(f"~/.ssh/{name}" for name in _USUAL_KEYS),
        name=ErrorName.NO_KEY,
        hint=f"make one: {HOW_TO_MAKE_ONE}; or name one: --key PATH",
    )
