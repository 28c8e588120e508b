"""``breakglass-sshd``: the host's half of SSH.

Exit codes: 0 done; 1 nobody is let in (``principals``); 2 to 6 as ``breakglass``'s own. ``control``
ends with 0: its errors are answers.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import syslog
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from breakglass import shown_text
from breakglass.clock import Clock, SystemClock
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.process.folder import held, make_folder
from breakglass.process.periodic import PeriodicTask
from breakglass.sshd.grant_certificate import signed_by
from breakglass.sshd.host_config import HostConfig
from breakglass.sshd.host_requests import BYTES_AT_MOST, read_request, write_error, write_request
from breakglass.sshd.host_socket import HostSocket, call
from breakglass.sshd.login_check import check_login, ordinary_principals
from breakglass.sshd.pam_session import hold_session
from breakglass.sshd.setup_lines import setup_lines

FOLDER = Path("/etc/breakglass-sshd")


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command line and return the exit code; no error leaves as a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        config = HostConfig.open(arguments.folder)
        return int(arguments.act(config, arguments, clock or SystemClock()))
    except BreakglassError as error:
        _complain(str(error), error.hint)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the edge of the process; nobody is let in
        _complain(f"{type(error).__name__} inside breakglass-sshd; nobody is let in", "")
        return 5


def _principals(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    try:
        certificate = signed_by(f"{given.type} {given.certificate}", config.ca_blob())
        if certificate is None:
            named = ordinary_principals(config, given.account)
        else:
            login = check_login(config, certificate, given.account, config.trust(), clock.now())
            named = [login.intent.handle]
    except BreakglassError as error:
        # sshd asks about twice a login, and of attempts too: one plain line, never the token.
        _complain(f"{given.account!r} not let in ({error.name}): {error}", error.hint)
        return 1
    print("\n".join(named))
    return 0 if named else 1


def _session(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    hold_session(config, os.environ, os.getppid())
    return 0


def _control(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    request = sys.stdin.buffer.read(BYTES_AT_MOST + 1)
    try:
        read_request(request)  # what is nonsense gets no further
        answer = call(config.settings.socket, request)
    except BreakglassError as error:
        answer = write_error(error)
    sys.stdout.buffer.write(answer)
    return 0


def _serve(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    from breakglass.sshd.host_daemon import HostDaemon

    if os.geteuid() != 0:
        raise MisconfiguredError("the daemon ends other users' processes: start it as root")
    logging.basicConfig(handlers=[_log_handler()])
    state = config.settings.state
    make_folder(state, 0o755)
    state.chmod(0o755)
    with held(state):
        daemon = HostDaemon(config, clock)
        socket = HostSocket(config.settings.socket, config.settings.user, daemon)
        task = PeriodicTask("look", config.settings.look_every, daemon.look)
        # A stop ends no grant: what is to end ends when the daemon is back, so it must come back.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: socket.close())
        task.start()
        print(f"serving {config.settings.host!r}", flush=True)
        socket.serve()
        task.close()
    return 0


def _check(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    from breakglass.sshd.host_check import findings

    found = findings(config, given.accounts, timedelta(0))
    try:
        call(config.settings.socket, write_request("describe"))
    except UnavailableError as error:
        _complain(str(error), error.hint)
        return error.exit_code
    if given.json:
        print(json.dumps({"findings": [each.written() for each in found]}))
    for each in [] if given.json else found:
        print(f"{'stops ' if each.stops else 'amiss '} {each.says}")
        if each.hint:
            print(f"        {each.hint}")
    if not found and not given.json:
        print(f"{config.settings.host}: nothing amiss")
    return 6 if any(each.stops for each in found) else 0


def _setup(config: HostConfig, given: argparse.Namespace, clock: Clock) -> int:
    print(setup_lines(config, given.accounts, given.program), end="")
    return 0


def _complain(message: str, hint: str) -> None:
    line = shown_text.shown(f"error: {message}" + (f"; hint: {hint}" if hint else ""), 2000)
    print(f"breakglass-sshd: {line}", file=sys.stderr)
    # sshd and PAM throw our standard error away.
    syslog.openlog("breakglass-sshd", syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(syslog.LOG_WARNING, line)


def _log_handler() -> logging.Handler:
    class Shown(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return shown_text.shown_lines(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Shown("breakglass-sshd: %(levelname)s %(message)s"))
    return handler


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="breakglass-sshd",
        description="Let people in by grants, and end all that a grant runs, on this host.",
        epilog="example: breakglass-sshd check deploy",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR")
    acts = parser.add_subparsers(
        required=True, metavar="principals|session|control|serve|check|setup"
    )
    made = {}
    for name, act, text in (
        ("principals", _principals, "answer sshd's AuthorizedPrincipalsCommand"),
        ("session", _session, "answer pam_exec: put what begins into its grant's group"),
        ("control", _control, "answer the minter: one request on standard input"),
        ("serve", _serve, "end every grant at its end; the root daemon"),
        ("check", _check, "say what this host lacks; nothing is changed"),
        ("setup", _setup, "print the lines for sshd, PAM and authorized_keys"),
    ):
        made[name] = one = acts.add_parser(name, help=text, description=text.capitalize() + ".")
        one.set_defaults(act=act)
        one.add_argument("--folder", type=Path, default=argparse.SUPPRESS, metavar="DIR")
    for name in ("account", "certificate", "type", "ca"):
        made["principals"].add_argument(name)
    for name in ("check", "setup"):
        made[name].add_argument("accounts", nargs="*", metavar="ACCOUNT")
    made["check"].add_argument("--json", action="store_true")
    made["setup"].add_argument("--program", default="/usr/bin/breakglass-sshd", metavar="PATH")
    return parser
