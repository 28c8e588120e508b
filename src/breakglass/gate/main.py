"""``breakglass-gate``: put a gate in front of anything that has an exit code.

Exit codes: 0 open; 3 shut, the check failed (or the token is refused); 5 shut, could not be
evaluated; 2 the token is malformed, or help was asked; 4 the token is altered, unproven or
another's; 6 the folder is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from breakglass import shown_text
from breakglass.clock import Clock, SystemClock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.gate.check import run_command
from breakglass.gate.gate_config import GateConfig
from breakglass.gate.guard import answer_check, answer_with_token, require_run, show, tell
from breakglass.gate.record_spool import waiting
from breakglass.token.answer import Answer, Opens
from breakglass.token.token import BYTES_AT_MOST

_FOLDERS = ("/etc/breakglass/gates", "~/.config/breakglass/gates")


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command line and return the exit code; no error leaves as a traceback."""
    given = list(sys.argv[1:] if argv is None else argv)
    cut = given.index("--") if "--" in given else len(given)
    arguments = _parser().parse_args(given[:cut])
    arguments.command = given[cut + 1 :]
    try:
        return int(arguments.act(arguments, clock or SystemClock()))
    except BreakglassError as error:
        _complain(str(error), error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; the gate stays shut", "")
        return 5
    except Exception as error:  # noqa: BLE001 - the edge of the process; stays shut
        _complain(f"{type(error).__name__} inside the gate; it stays shut", "")
        return 5


def _run(arguments: argparse.Namespace, clock: Clock) -> int:
    if (arguments.token is None) != (arguments.run is None):
        raise MisconfiguredError("--token and --for go together: a token opens one run")
    if arguments.run is not None:
        require_run(arguments.run)
    place = _place(arguments)
    check = run_command(
        _command(arguments),
        place.settings.check_within,
        frozenset(place.settings.could_not_evaluate),
    )
    answer = answer_check(place, check, clock, arguments.input)
    code = answer.exit_code
    if not answer.open and arguments.token is not None:
        try:
            answer = answer_with_token(place, answer, _token(arguments), arguments.run, clock)
            code = answer.exit_code
        except BreakglassError as error:
            _complain(f"token refused ({error.name}): {error}", error.hint)
            code = error.exit_code
    _say(answer, arguments.json)
    trouble = tell(place, clock)
    if trouble is not None and trouble.name == ErrorName.WRONG_CLOCK:
        _complain(str(trouble), trouble.hint)
    return code


def _check(arguments: argparse.Namespace, clock: Clock) -> int:
    arguments.token = arguments.run = None
    return _run(arguments, clock)


def _verify(arguments: argparse.Namespace, clock: Clock) -> int:
    require_run(arguments.run)
    place = _place(arguments)
    _, shown = show(place, _token(arguments), arguments.run, clock.now())
    intent = shown.intent
    told = {
        "grant": intent.grant,
        "glass": intent.glass,
        "who": intent.who,
        "incident": intent.incident,
        "gate": place.settings.gate,
        "run": shown.run,
        "entry": shown.index,
        "witnesses": {name: format_time(at) for name, at in sorted(shown.cosigned.items())},
        "not_after": format_time(intent.not_after),
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        print(f"holds: {intent.who!r} may open {place.settings.gate!r} for run {shown.run!r}")
        where = "the custodians' door" if shown.index < 0 else f"entry {shown.index}"
        print(f"until {format_time(intent.not_after)}, grant {intent.grant}, {where}")
    return 0


def _flush(arguments: argparse.Namespace, clock: Clock) -> int:
    from breakglass.gate.clock_check import set_right
    from breakglass.gate.spool_flush import send

    place = _place(arguments)
    set_right(place, clock, place.settings.send_within)
    done = send(place, clock, place.settings.send_within)
    left = waiting(place)
    print(json.dumps({"left": left}) if arguments.json else f"{left} records wait")
    return 0 if done or left == 0 else 5


def _doors(arguments: argparse.Namespace, clock: Clock) -> int:
    from breakglass.gate.door import place_doors, settle

    place = _place(arguments)
    if arguments.token is not None:
        grant = settle(place, _token(arguments))
        print(f"shown: the door intent of {grant} is in the log; another door may come")
    left = place_doors(place).standing()
    if arguments.json:
        print(json.dumps({"unappended": [each.grant for each in left]}))
    for each in [] if arguments.json else left:
        who = f"{each.intent.who} {each.intent.glass}"
        print(f"{each.grant} {who} taken {format_time(each.taken)}: not shown")
    return 0 if not left else 5


def _place(arguments: argparse.Namespace) -> GateConfig:
    if arguments.folder:
        return GateConfig.open(Path(arguments.folder), arguments.gate)
    for each in _FOLDERS:
        folder = Path(each).expanduser() / arguments.gate
        if folder.is_dir():
            return GateConfig.open(folder, arguments.gate)
    raise MisconfiguredError(
        f"no folder of gate {arguments.gate!r} in {' or '.join(_FOLDERS)}; it stays shut",
        hint="name it with --folder, or make one with: breakglass gate add NAME --out DIR",
    )


def _token(arguments: argparse.Namespace) -> bytes:
    try:
        if arguments.token == "-":
            return sys.stdin.buffer.read(BYTES_AT_MOST + 1)
        with open(arguments.token, "rb") as file:
            return file.read(BYTES_AT_MOST + 1)
    except OSError as error:
        raise MisconfiguredError(f"token {arguments.token!r} cannot be read: {error}") from error


def _command(arguments: argparse.Namespace) -> list[str]:
    if not arguments.command:
        raise MisconfiguredError(
            "no check to run; the gate stays shut",
            hint=f"breakglass-gate run {arguments.gate} -- ./checks.sh",
        )
    return list(arguments.command)


def _say(answer: Answer, as_json: bool) -> None:
    if as_json:
        told = {"gate": answer.gate, "answer": answer.opens.value, "reason": answer.reason}
        if answer.shown is not None:
            told |= {"grant": answer.shown.intent.grant, "who": answer.shown.intent.who}
        print(json.dumps(told))
    if answer.opens is Opens.OPEN_BY_GLASS and answer.shown is not None:
        intent = answer.shown.intent
        _tell(
            f"{answer.gate}: open by glass: {intent.who!r}, {intent.glass!r},"
            f" {intent.incident or 'no incident'}, grant {intent.grant}; the check said:"
            f" {answer.reason}"
        )
        return
    _tell(f"{answer.gate}: {answer.opens.value} ({answer.reason})")
    if answer.hint:
        _tell(f"hint: {answer.hint}")


def _complain(message: str, hint: str) -> None:
    _tell(f"error: {message}")
    if hint:
        _tell(f"hint: {hint}")


def _tell(line: str) -> None:
    # A token, a check's answer and an error that quotes them come from elsewhere.
    print(f"breakglass-gate: {shown_text.shown(line, shown_text.TEXT_AT_MOST)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Exits 2 behind its help: where a gate is asked, 0 means open."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End; never with 0."""
        super().exit(status or 2, message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="breakglass-gate",
        description="A gate stays shut unless its check passes or it is shown a token.",
        epilog="example: breakglass-gate run deploy-approval --token T --for 812 -- ./check.sh",
    )
    acts = parser.add_subparsers(required=True, metavar="run|check|verify|flush|doors")
    for name, act, text in (
        ("run", _run, "run the check; if it does not pass, let a token open the gate"),
        ("check", _check, "run the check and answer from it alone"),
        ("verify", _verify, "verify a token for this gate and run; nothing is recorded"),
        ("flush", _flush, "hand over what waits in the spool"),
        ("doors", _doors, "list custodians' doors taken here whose intent is not in the log"),
    ):
        one = acts.add_parser(name, help=text, description=text.capitalize() + ".")
        one.set_defaults(act=act)
        one.add_argument("gate", help="the gate's name")
        one.add_argument("--folder", metavar="DIR", help="the gate's folder")
        one.add_argument("--json", action="store_true", help="say the answer as JSON too")
        if name in ("run", "verify"):
            needed = name == "verify"
            one.add_argument("--token", metavar="FILE", required=needed, help="'-' reads it here")
            one.add_argument("--for", dest="run", metavar="RUN", required=needed)
        if name == "doors":
            shown = "a token with its proof, from 'breakglass gate token'"
            one.add_argument("--proof", dest="token", metavar="FILE", help=shown)
        if name in ("run", "check"):
            one.add_argument("--input", default="", metavar="DIGEST", help="what is checked")
            one.usage = f"{parser.prog} {name} GATE [options] -- CHECK [argument ...]"
    return parser


if __name__ == "__main__":
    sys.exit(main())
