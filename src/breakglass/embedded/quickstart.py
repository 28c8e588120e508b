"""The organisation that ``breakglass init`` makes: the starter policy, for one person."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from breakglass.errors import MisconfiguredError
from breakglass.operate.fixed_address import LOOPBACK, choose_ports
from breakglass.operate.maintainer_signing import Maintainer
from breakglass.operate.plan import Plan, processes
from breakglass.person import ssh_keygen
from breakglass.person.own_key import find_key, login_name
from breakglass.person.ssh_keygen import PersonalKey, Say
from breakglass.policy.compile import compile_policy
from breakglass.policy.starter import starter_bundle
from breakglass.records.encoding.text_types import Handle

SECOND = "second"
CUSTODIANS_AT_MOST = 9
WITNESSES = 3


@dataclass(frozen=True)
class Where:
    """Where the processes listen.

    Attributes:
        host: an IP address of this machine; off loopback each process gets a certificate.
        base_port: the first of the ports; 0 picks free ones.
        taken: ports of other organisations on this machine, which may not run just now.
    """

    host: str = LOOPBACK
    base_port: int = 0
    taken: frozenset[int] = frozenset()


def make(
    folder: Path,
    organisation: str,
    who: str,
    key: Path | None,
    now: datetime,
    say: Say,
    custodians: int = 0,
    where: Where = Where(),
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
        where: the addresses, which stay.

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
    ports = choose_ports(where.host, processes(WITNESSES), where.taken, where.base_port)
    prepare(folder)
    try:
        mine = (
            ssh_keygen.read_key(key.expanduser())
            if key
            else find_key(folder / "keys" / "people" / f"{who}.pub", who)
        )
        second = second_maintainer(folder, SECOND)
        bundle = starter_bundle(
            organisation=organisation,
            person=who,
            key=mine.public,
            second=SECOND,
            second_key=second.key.public,
        )
        plan = _plan(organisation, who, mine, second, bundle)
        plan = replace(plan, host=where.host, ports=ports)
        plan = replace(plan, custodians=make_custodians(folder, custodians))
        return make_organisation(folder, plan, now, say)
    except BaseException:
        undo(folder)
        raise


def _check_name(name: str) -> None:
    """Refuse what no record could hold as a name, before anything is made."""
    for rule in Handle.__metadata__:  # type: ignore[attr-defined]
        rule.check(name, "name")


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
        witnesses=WITNESSES,
    )


CHANNELS = f"""\
[channels.file]
type = "log_file"
file = "{ALARMS}"

[channels.file-2]
type = "log_file"
file = "data/copy.log"
"""
