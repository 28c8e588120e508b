"""``breakglass``: the table of commands, and the one edge where errors become lines and codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from breakglass.errors import BreakglassError

# Name: where it is, and its line in the list. Nothing is imported to print the list.
COMMANDS: dict[str, tuple[str, str]] = {
    "break": ("breaking:break_", "Break a glass: get the emergency access that was agreed."),
    "status": ("status:status", "Show open incidents and what is granted now."),
    "run": ("run:run", "Run a command with a grant's credential, until the grant ends."),
    "psql": ("run:psql", "Open psql with a grant's credential, until the grant ends."),
    "done": ("early_end:done", "Hand a grant back before it expires."),
    "kill": ("early_end:kill", "Stop a grant, a person or a glass at once."),
    "incident": ("incident:incident", "Declare, close and list incidents."),
    "gate": ("gate:gate", "Sign a token for a gate; make a new gate."),
    "minter": ("minter:minter", "Make a minter for a database; try whether it can work."),
    "door": ("door:door", "When the ledger is down: offline approval by custodians."),
    "review": ("review:review", "List and show the reviews that every grant opens."),
    "gates": ("gates:gates", "Show how the gates are doing: rates, verdicts, reviews."),
    "ledger": ("ledger:ledger", "Export the ledger and verify a copy without a server."),
    "policy": ("policy:policy", "Check, explain, sign and activate the policy."),
    "trust": ("trust:trust", "Show, change, sign and update the trust file."),
    "key": ("key:key", "Show, seal and replace the keys of processes."),
    "archiver": ("archiver:archiver", "Look at the archive: its lock, versions and policy."),
    "join": ("join:join", "Join a person's laptop; move a witness to a second host."),
    "channel": ("channel:channel", "Ring a channel of the monitor once, as a test."),
    "unit": ("unit:unit", "Print a hardened systemd unit for a process."),
    "use": ("use:use", "Allow a folder's client.toml for your commands."),
    "init": ("init:init", "Make a whole organisation in one folder, to try out."),
    "up": ("up:up", "Start every process of such a folder, and stay."),
    "demo": ("demo:demo", "Play an emergency from start to end, attacks included."),
    "doctor": ("doctor:doctor", "Say what this set-up does not give, and the next cheapest step."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which a responder needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(
            importlib.import_module(f"breakglass.cli.{module}"), attribute
        )
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; of one that is none, the nearest are named."""
        asked = args[0]
        if asked not in COMMANDS and not asked.startswith("-"):
            import difflib

            near = " or ".join(f"'{each}'" for each in difflib.get_close_matches(asked, COMMANDS))
            ctx.fail(f"No such command '{asked}'." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


EXAMPLE = """\
\b
Example:
  breakglass incident declare INC-4821 --severity SEV1 --title "checkout 5xx"
  breakglass break orders-repair --incident INC-4821 --why "orders stuck"
"""


@click.command(
    cls=Commands,
    epilog=EXAMPLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(package_name="breakglass", message="breakglass %(version)s")
def breakglass() -> None:
    """Break-glass access: tamper-evident log, alerts on every use, automatic expiry."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code; no traceback is ever shown."""
    arguments = sys.argv[1:] if argv is None else argv
    sys.exit(_run(arguments, "--json" in arguments))


def _run(arguments: list[str], as_json: bool) -> int:
    from breakglass.cli import output

    try:
        breakglass.main(arguments, prog_name="breakglass", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        hint = f"see the example at the end of: {path or 'breakglass'} --help"
        if arguments[:1] == ["--json"]:
            hint = "--json goes behind the command: breakglass status --json"
        output.tell_error("usage", _plain(error.format_message()), hint, as_json)
        return 2
    except BreakglassError as error:
        output.tell_error(error.name, error.message, error.hint, as_json)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read us has gone; the interpreter must not complain while it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001  the edge of the process: one line, and the rest kept
        return _own_mistake(error, as_json)
    return 0


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
    return list(COMMANDS)


def load(name: str) -> Any:
    """Return one command, for tests and documentation."""
    return breakglass.get_command(click.Context(breakglass), name)
