"""What a minter's connection string says of its target, judged before anybody connects.

A mistake in it must show when the minter starts; libpq alone would guess, from the environment or
from defaults, and the guess would go to a holder at three in the morning.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict

from breakglass.errors import MisconfiguredError
from breakglass.minter.platforms.platform import Finding

_WRITES = ("any", "read-write", "primary", "")
_ENCRYPTED = ("require", "verify-ca", "verify-full")


def read_dsn(dsn: str) -> dict[str, str]:
    """Return the parameters of a connection string, in either form of libpq.

    Raises:
        MisconfiguredError: it has neither form.
    """
    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError as error:
        # libpq's words may hold a part of the text, and so of the password.
        raise MisconfiguredError(
            "'postgres.dsn' is no connection string",
            hint='write it so: dsn = "host=db.internal port=5432 user=… dbname=… password=…"',
        ) from error


def holders_address(dsn: Mapping[str, str], host: str, port: int) -> tuple[str, int | str]:
    """Return the host and the port that holders connect to; lists where ``dsn`` has lists.

    Args:
        dsn: as ``read_dsn`` returns it, without a finding that stops.
        host, port: the settings of these names; empty and 0 where they are the DSN's.

    >>> holders_address({"host": "a,b", "port": "5432,5433"}, "", 0)
    ('a,b', '5432,5433')
    >>> holders_address({"hostaddr": "192.0.2.1"}, "", 0)
    ('192.0.2.1', 5432)
    """
    where = host or dsn.get("host") or dsn.get("hostaddr", "")
    ports = [each or "5432" for each in dsn.get("port", "5432").split(",")]
    if port or len(set(ports)) == 1:
        return where, port or int(ports[0])
    return where, ",".join(ports)


def dsn_findings(dsn: Mapping[str, str], host: str, port: int) -> Iterator[Finding]:
    """Say what is wrong with a connection string, and with where holders are sent.

    Args:
        dsn, host, port: as of ``holders_address``.
    """
    yield from _whose(dsn)
    yield from _hosts(dsn, host)
    yield from _ports(dsn, host, port)
    if dsn.get("target_session_attrs", "") not in _WRITES:
        yield Finding(
            f"the dsn asks for a session that is {dsn['target_session_attrs']!r}; a minter writes",
            "target_session_attrs=primary, or leave it out",
        )
    if _leaves_this_machine(dsn) and dsn.get("sslmode", "prefer") not in _ENCRYPTED:
        yield Finding(
            f"the dsn leaves this machine with sslmode {dsn.get('sslmode', 'prefer')!r}, so"
            " whoever sits between may read and change what is sent",
            "sslmode=verify-full sslrootcert=…",
            stops=False,
        )


def _whose(dsn: Mapping[str, str]) -> Iterator[Finding]:
    if dsn.get("service"):
        yield Finding(
            "the dsn names a service, so a file elsewhere decides where the minter works",
            "write host, port, user and dbname out",
        )
    for key, what in (("user", "user, so the operating system's would be taken"),
                      ("dbname", "database, so the user's name would be taken")):  # fmt: skip
        if not dsn.get(key):
            yield Finding(f"the dsn names no {what}", f"{key}=…")


def _hosts(dsn: Mapping[str, str], host: str) -> Iterator[Finding]:
    named, addresses = dsn.get("host", ""), dsn.get("hostaddr", "")
    if not named and not addresses:
        yield Finding(
            "the dsn names no host, so PGHOST or a socket of this machine would be taken",
            "host=…",
        )
        return
    for each in (named, addresses):
        if each and not all(part.strip() for part in each.split(",")):
            yield Finding(f"the dsn's hosts {each!r} have an empty place", "host=a,b")
    if named and addresses and named.count(",") != addresses.count(","):
        yield Finding(
            f"the dsn has {named.count(',') + 1} hosts and {addresses.count(',') + 1} addresses",
            "one hostaddr for each host, or none at all",
        )
    if not host and any(part.startswith(("/", "@")) for part in named.split(",")):
        yield Finding(
            f"the dsn's host {named!r} is a socket, which holders elsewhere cannot reach",
            'host = "…" under [postgres]: what holders connect to',
        )


def _ports(dsn: Mapping[str, str], host: str, port: int) -> Iterator[Finding]:
    ports = dsn.get("port", "5432").split(",")
    hosts = (dsn.get("host") or dsn.get("hostaddr", "")).count(",") + 1
    for each in ports:
        if each and not (each.isdecimal() and 0 < int(each) < 65536):
            yield Finding(f"the dsn's port {each!r} is none", "a number from 1 to 65535")
    if len(ports) not in (1, hosts):
        yield Finding(
            f"the dsn has {hosts} hosts and {len(ports)} ports",
            "one port for all hosts, or one for each",
        )
    if not 0 <= port < 65536:
        yield Finding(f"'postgres.port' is {port}", "a number from 1 to 65535")
    if host and not port and host.count(",") + 1 != len(ports) != 1:
        yield Finding(
            f"holders are sent to {host!r} and the dsn has {len(ports)} ports",
            "port = … under [postgres]: what holders connect to",
        )


def _leaves_this_machine(dsn: Mapping[str, str]) -> bool:
    places = (dsn.get("hostaddr") or dsn.get("host", "")).split(",")
    return not all(map(_is_here, places))


def _is_here(place: str) -> bool:
    if place.startswith(("/", "@")) or place == "localhost":
        return True
    try:
        return ipaddress.ip_address(place).is_loopback
    except ValueError:
        return False
