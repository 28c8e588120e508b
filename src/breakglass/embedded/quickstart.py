"""The organisation that ``breakglass init`` makes: the starter policy, for one person."""

from __future__ import annotations

import getpass
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from breakglass.embedded.alert_log import ALARMS
from breakglass.embedded.init import (
    Made,
    make_custodians,
    make_organisation,
    prepare,
    second_maintainer,
    undo,
)
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.operate.maintainer_signing import Maintainer
from breakglass.operate.plan import Plan
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import PersonalKey, Say
from breakglass.policy.compile import compile_policy
from breakglass.policy.starter import starter_bundle
from breakglass.records.encoding.text_types import Handle
from breakglass.records.signing.key_types import HOW_TO_MAKE_ONE

SECOND = "second"
CUSTODIANS_AT_MOST = 9
_USUAL_KEYS = ("id_ed25519_sk", "id_ecdsa_sk", "id_ed25519", "id_ecdsa")
"""As ``ssh-keygen`` names what it makes, security keys first."""


def make(
    folder: Path,
    organisation: str,
    who: str,
    key: Path | None,
    now: datetime,
    say: Say,
    custodians: int = 0,
) -> Made:
    """Make an organisation with the starter policy.

    Args:
        folder: new or empty.
        organisation: its name; the log is called ``<organisation>/ledger``.
        who: the handle of whoever runs this; empty takes the login name.
        key: their SSH key; ``None`` looks in the agent, then in ``~/.ssh``.
        now: the time of the genesis.
        say: told when a security key has to be touched.
        custodians: how many to generate for the custodians' door: none, or two at least.

    Raises:
        MalformedError: a name that no record could hold; nothing was made.
        MisconfiguredError: the folder is in use, or there is no key; nothing was left behind.
        UnavailableError: the key did not sign; nothing was left behind.
    """
    who = who or login_name()
    for name in (who, organisation):
        _check_name(name)
    if who == SECOND:
        raise MisconfiguredError(f"{SECOND!r} is the generated maintainer; choose another name")
    if custodians == 1 or custodians > CUSTODIANS_AT_MOST:
        raise MisconfiguredError(
            f"custodians: 0, or 2 to {CUSTODIANS_AT_MOST}, got {custodians}; nothing was made"
        )
    prepare(folder)
    try:
        mine = ssh_keygen.read_key(key.expanduser()) if key else find_key(folder, who)
        second = second_maintainer(folder, SECOND)
        bundle = starter_bundle(
            organisation=organisation,
            person=who,
            key=mine.public,
            second=SECOND,
            second_key=second.key.public,
        )
        plan = _plan(organisation, who, mine, second, bundle)
        plan = replace(plan, custodians=make_custodians(folder, custodians, plan.log))
        return make_organisation(folder, plan, now, say)
    except BaseException:
        undo(folder)
        raise


def _check_name(name: str) -> None:
    """Refuse what no record could hold as a name, before anything is made."""
    for rule in Handle.__metadata__:  # type: ignore[attr-defined]
        rule.check(name, "name")


def login_name() -> str:
    """Return this machine's login name in the form of a handle."""
    name = re.sub(r"[^a-z0-9._-]", "-", getpass.getuser().lower()).strip("._-")
    return name or "me"


def find_key(folder: Path, who: str) -> PersonalKey:
    """Find the person's SSH key: the first that the agent holds, else a usual file.

    Raises:
        MisconfiguredError: there is none that can be used.
    """
    held = ssh_keygen.agent_keys()
    if held:
        public = folder / "keys" / "people" / f"{who}.pub"
        public.write_text(f"{held[0]} {who}\n", "ascii")
        return ssh_keygen.read_key(public.absolute())
    usual = Path.home() / ".ssh"
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


def _plan(
    organisation: str, who: str, mine: PersonalKey, second: Maintainer, bundle: dict[str, bytes]
) -> Plan:
    glasses = compile_policy(bundle).bundle.glasses
    gates: dict[str, tuple[str, ...]] = {}
    for glass in glasses.values():
        for gate in glass.opens_gates:
            gates[gate] = (*gates.get(gate, ()), glass.name)
    return Plan(
        organisation=organisation,
        log=f"{organisation}/ledger",
        bundle=bundle,
        maintainers=(Maintainer(who, mine), second),
        who=who,
        key=mine.path.absolute(),
        gates=gates,
        minters={},
        channels=CHANNELS,
    )


CHANNELS = f"""\
[channels.file]
type = "log_file"
file = "{ALARMS}"

[channels.file-2]
type = "log_file"
file = "data/copy.log"
"""
