"""``breakglass``: the table of commands, and the one edge where errors become lines and codes."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import threading
from typing import Any, NoReturn

import click

from breakglass.cli.command_table import TABLE, nearest, places
from breakglass.errors import BreakglassError


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, grouped by who uses them."""
        return [name for rows in TABLE.values() for name, _, _ in rows]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        where = places().get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        found: click.Command = getattr(
            importlib.import_module(f"breakglass.cli.{module}"), attribute
        )
        return _whole(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists without importing anything."""
        widest = max(len(name) for rows in TABLE.values() for name, _, _ in rows)
        for who, rows in TABLE.items():
            with formatter.section(who):
                formatter.write_dl([(f"{name:<{widest}}", line) for name, _, line in rows])


def _whole(command: click.Command) -> click.Command:
    if sys.flags.optimize < 2:
        return command
    from breakglass.cli.stripped_help import restored

    return restored(command)


_NO_ROOM = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
EXAMPLE = """\
\b
Example:
  breakglass incident declare INC-4821 --severity SEV1 --title "checkout 5xx"
  breakglass ask orders-repair --incident INC-4821 --why "orders stuck"
  breakglass break orders-repair --incident INC-4821 --why "nobody answers"
"""


@click.command(
    cls=Commands,
    epilog=EXAMPLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(package_name="breakglass", message="breakglass %(version)s")
def breakglass() -> None:
    """Emergency access with a tamper-evident log, alerts and automatic expiry.

    --org and --json stand in front of a command or behind it.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code; no traceback is ever shown.

    Args:
        argv: what was typed behind the program's name; left out, it is this process's own, and
            then the process ends at once.
    """
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Somebody else's emoji must not decide whether this terminal can be read.
            stream.reconfigure(errors="backslashreplace")
    code = _run(arguments, "--json" in arguments)
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()  # said already; the interpreter must not complain while it closes
    if argv is None and any(each.daemon for each in threading.enumerate()):
        # The process is ours to end. A call that nobody waits for any more may be inside a library
        # in Rust; an interpreter that closes under it is aborted («exception not rethrown»),
        # whatever code we end with.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _give_up_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str], as_json: bool) -> int:
    from breakglass.cli import output

    try:
        whole = _whole(breakglass)
        code = whole.main(_behind(arguments), prog_name="breakglass", standalone_mode=False)
        return code if isinstance(code, int) else 0  # the code of a click.exceptions.Exit
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())  # a group without a command: that is a question
        return 0
    except click.ClickException as error:
        hint = _usage_hint(error)
        output.tell_error("usage", _plain(error.format_message()), hint, as_json)
        return 2
    except BreakglassError as error:
        output.tell_error(error.name, error.message, error.hint, as_json)
        return error.exit_code
    except SystemExit as ended:  # of `run`, of a check that failed: the code is theirs
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        click.echo(ended.code, err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("", err=True)
        output.talk("stopped; what was sent may be recorded all the same: breakglass status")
        return 130
    except BrokenPipeError:
        _give_up_stdout()  # whoever read us has gone
        return 141
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return _own_mistake(error, as_json)
        where = repr(error.filename) if error.filename else "the output"
        message = f"{where} cannot be written: {error.strerror}; the command stopped there"
        output.tell_error("misconfigured", message, "make room; then: breakglass status", as_json)
        return 6
    except Exception as error:  # noqa: BLE001  the edge of the process: one line, and the rest kept
        return _own_mistake(error, as_json)


def _behind(arguments: list[str]) -> list[str]:
    """Move ``--org`` and ``--json`` from in front of a command's name to behind it.

    >>> _behind(["--org", "x", "incident", "--json", "list", "-h"])
    ['incident', 'list', '--org', 'x', '--json', '-h']
    """
    path: list[str] = []
    moved: list[str] = []
    rest = list(arguments)
    group: click.Command | None = breakglass
    while rest and isinstance(group, click.Group):
        if rest[0] == "--json" or rest[0].startswith("--org="):
            moved.append(rest.pop(0))
        elif rest[0] == "--org" and len(rest) > 1:
            moved += [rest.pop(0), rest.pop(0)]
        elif rest[0].startswith("-"):
            break
        else:
            path.append(rest.pop(0))
            # Imported only where something was moved or a group may follow: it is run next anyway.
            group = group.get_command(click.Context(group), path[-1])
    return [*path, *moved, *rest]


def _usage_hint(error: click.ClickException) -> str:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx else "breakglass"
    if isinstance(error, click.exceptions.NoSuchCommand) and ctx is not None:
        group = ctx.command
        known = group.list_commands(ctx) if isinstance(group, click.Group) else []
        near = nearest(error.command_name, known)
        if near:
            return f"did you mean: {path} {near}"
    return f"see the example at the end of: {path} --help"


def _plain(message: str) -> str:
    """Bring click's sentences into the form of our errors: lower case, no full stop.

    >>> _plain("No such option '--fro'. (Did you mean '--for'?)")
    "no such option '--fro' (did you mean '--for'?)"
    >>> _plain("No such command 'sing'. Did you mean 'sign'?")
    "no such command 'sing' (did you mean 'sign'?)"
    """
    message = " ".join(message.split()).rstrip(".").replace(". (D", " (d")
    said, found, near = message.partition(". Did you mean ")
    message = f"{said} (did you mean {near})" if found else message
    return message[:1].lower() + message[1:]


def _own_mistake(error: Exception, as_json: bool) -> int:
    from breakglass.cli import output

    where = output.keep_traceback(error)
    hint = f"details: {where}" if where else "its details could not be written to a file"
    what = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        # Of other errors only the type is shown: their text could quote a secret.
        what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    message = f"internal error: {what}; the command stopped half-way"
    output.tell_error("internal", message, f"check first: breakglass status; {hint}", as_json)
    return 1


def command_names() -> list[str]:
    """Return all command names, for tests and documentation."""
    return [name for rows in TABLE.values() for name, _, _ in rows]


def load(name: str) -> Any:
    """Return one command, for tests and documentation."""
    return breakglass.get_command(click.Context(breakglass), name)
