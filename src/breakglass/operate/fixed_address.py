"""Where the processes of an organisation listen: chosen once, written down, kept at every start.

A port that changed at each start would have to be told anew to every laptop. The ports lie below
the range from which systems hand out ports by themselves, so that nothing takes one by chance.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import tomllib
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, reason
from breakglass.operate.certificate import (
    CERTIFICATE,
    CERTIFICATE_KEY,
    make_certificate,
    pin_of,
)
from breakglass.process.folder import SETTINGS, write_whole

LOOPBACK = "127.0.0.1"
# Linux hands out ports from 32768 on (ip_local_port_range); others begin higher.
LOWEST, HIGHEST = 20_000, 32_000
_TABLE = re.compile(r"^\[serving\]\n(?:(?!\[).*\n)*", re.MULTILINE)
_TRIES = 200


def choose_ports(
    host: str, names: Iterable[str], taken: Collection[int], base: int = 0
) -> dict[str, int]:
    """Choose a free port of ``host`` for each name, one after the other.

    Args:
        host: an IP address of this machine.
        names: of the processes.
        taken: ports of organisations that may not run just now.
        base: the first port; 0 picks a row of free ones by chance.

    Raises:
        MisconfiguredError: ``not_an_address``, the host is none of this machine; ``port_taken``.
    """
    wanted = list(names)
    _check_host(host)
    for _ in range(_TRIES):
        first = base or LOWEST + secrets.randbelow(HIGHEST - LOWEST - len(wanted))
        row = range(first, first + len(wanted))
        used = [port for port in row if port in taken or not _is_free(host, port)]
        if not used:
            return dict(zip(wanted, row, strict=True))
        if base:
            raise MisconfiguredError(
                f"port {used[0]} of {host} is taken; {len(wanted)} in a row are needed from"
                f" {base} on; nothing was made",
                name=ErrorName.PORT_TAKEN,
                hint="name another --base-port, or leave it out and free ones are picked",
            )
    raise MisconfiguredError(
        f"no {len(wanted)} free ports in a row on {host}; nothing was made",
        name=ErrorName.PORT_TAKEN,
        hint="name the first one: --base-port PORT",
    )


def ports_of(org: Path) -> dict[str, int]:
    """Return the port of each process folder in ``org`` whose settings name one.

    What cannot be read is left out: this only keeps two organisations apart.
    """
    found = {}
    for path in sorted(org.glob(f"*/{SETTINGS}")):
        try:
            port = tomllib.loads(path.read_text("utf-8")).get("serving", {}).get("port", 0)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError):
            continue
        if isinstance(port, int) and port:
            found[path.parent.name] = port
    return found


def host_of(folder: Path) -> str:
    """Return where the process of ``folder`` listens; loopback if its settings do not say.

    Raises:
        MisconfiguredError: they cannot be read.
    """
    path = folder / SETTINGS
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {reason(error)}") from error
    return str(table.get("serving", {}).get("host", LOOPBACK))


def address_of(folder: Path) -> str:
    """Return the address that ``[serving]`` of ``folder`` gives, with its pin; it need not run.

    Raises:
        MisconfiguredError: the settings cannot be read, or give no port.
    """
    host, port = host_of(folder), ports_of(folder.parent).get(folder.name, 0)
    if not port:
        raise MisconfiguredError(
            f"{str(folder / SETTINGS)!r} gives no port, so its address changes at each start",
            hint="add the table [serving] with host and port, and start it again",
        )
    certificate = folder / CERTIFICATE
    return url_of(host, port, pin_of(certificate) if certificate.exists() else "")


def listen_at(folder: Path, host: str, port: int, now: datetime) -> str:
    """Write ``[serving]`` into the settings of ``folder``, in place of what stands there.

    Off loopback the process gets a certificate of its own, once. Returns the address, with its
    pin. The same again changes nothing.
    """
    pin = ""
    if not ipaddress.ip_address(host).is_loopback:
        # The certificate first: settings that name one that is not there would not start.
        pin = make_certificate(folder, host, now)
    path = folder / SETTINGS
    text = path.read_text("utf-8")
    kept = _TABLE.sub("", text).rstrip()
    changed = f"{kept}\n\n{serving_table(host, port, bool(pin))}"
    if changed != text:
        write_whole(path, changed.encode())
    return url_of(host, port, pin)


def url_of(host: str, port: int, pin: str = "") -> str:
    """Write an address; with a pin it is one of TLS."""
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{port}#{pin}" if pin else f"http://{shown}:{port}"


def serving_table(host: str, port: int, certified: bool = True) -> str:
    """Write the table ``[serving]``; ``certified`` names the folder's own certificate."""
    table = f'[serving]\nhost = "{host}"\nport = {port}\n'
    if certified:
        table += f'certificate = "{CERTIFICATE}"\ncertificate_key = "{CERTIFICATE_KEY}"\n'
    return table


def _check_host(host: str) -> None:
    why = ""
    try:
        if ipaddress.ip_address(host).is_unspecified:
            why = "others cannot call it"
        else:
            with _listener(host) as probe:
                probe.bind((host, 0))
    except ValueError:
        why = "it is a name or nothing, and an IP address is needed: a name would need DNS at night"
    except OSError as error:
        why = f"it is no address of this machine ({error.strerror})"
    if why:
        raise MisconfiguredError(
            f"cannot listen on {host[:80]!r}: {why}; nothing was made",
            name=ErrorName.NOT_AN_ADDRESS,
            hint="'ip -brief address' lists the addresses of this machine",
        )


def _is_free(host: str, port: int) -> bool:
    if not 0 < port < 65536:
        return False
    with _listener(host) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _listener(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
