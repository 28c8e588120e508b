"""All commands: where each is, its line in the list, and who uses it. Imports nothing of ours."""

from __future__ import annotations

import difflib

# Who uses them, and in that order: name, where it is, its line in the list.
TABLE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Responder": (
        ("break", "breaking:break_", "Break a glass: get the emergency access that was agreed."),
        ("ask", "ask:ask", "Ask for a glass: approvers are paged, and you wait for them."),
        ("requests", "asked_requests:requests", "List what you asked for, and what waits for you."),
        ("withdraw", "answer:withdraw", "Take back what you asked for."),
        ("status", "status:status", "Show open incidents and what is granted now."),
        ("run", "run:run", "Run a command with a grant's credential, until the grant ends."),
        ("psql", "run:psql", "Open psql with a grant's credential, until the grant ends."),
        ("ssh", "ssh:ssh", "Open a shell on a host of a grant, until the grant ends."),
        ("scp", "ssh:scp", "Copy files to or from a host of a grant."),
        ("rsync", "ssh:rsync", "Copy trees to or from a host of a grant."),
        ("gate", "gate:gate", "Sign a token for a gate; make, look at and review gates."),
        ("done", "early_end:done", "Hand a grant back before it expires."),
        ("kill", "early_end:kill", "Stop a grant, a person or a glass at once."),
        ("incident", "incident:incident", "Declare, close and list incidents."),
        ("me", "me:me", "Show and set the channels on which you are called."),
    ),
    "Approver": (
        ("approve", "answer:approve", "Approve what somebody asks for, after reading it."),
        ("refuse", "answer:refuse", "Refuse what somebody asks for, and say why."),
    ),
    "Custodian": (
        ("door", "door:door", "Approve offline, as custodians, when the ledger is down."),
    ),
    "Reviewer": (("review", "review:review", "List and show the reviews that every grant opens."),),
    "Maintainer and operator": (
        ("minter", "minter:minter", "Make a minter for a database or hosts; try it."),
        ("standing", "standing:standing", "Show access that stands without a grant; look for it."),
        ("policy", "policy:policy", "Check, explain, sign and activate the policy."),
        ("trust", "trust:trust", "Show, change, sign and update the trust file."),
        ("key", "key:key", "Show, seal and replace the keys of processes."),
        ("archiver", "archiver:archiver", "Look at the archive: its lock, versions and policy."),
        ("join", "join:join", "Join a person's laptop; move a witness to a second host."),
        ("channel", "channel:channel", "Ring a channel of the monitor once, as a test."),
        ("unit", "unit:unit", "Print a hardened systemd unit for a process."),
        ("doctor", "doctor:doctor", "Say what this set-up does not give, and the next step."),
    ),
    "Auditor": (
        ("ledger", "ledger:ledger", "Export the ledger and verify a copy without a server."),
    ),
    "Set-up and trying out": (
        ("demo", "demo:demo", "Play an emergency from start to end, attacks included."),
        ("init", "init:init", "Make a whole organisation in one folder, to try out."),
        ("up", "up:up", "Start every process of such a folder, and stay."),
        ("use", "use:use", "Allow a folder's client.toml for your commands."),
        ("completion", "completion:completion", "Print what completes commands in your shell."),
        ("help", "help:help_", "Explain a command, exit codes, the environment or files."),
    ),
}
# Names of before, not in any list.
ALIASES = {"gates": "gate"}
# What the same thing is called in other products, so that a guess leads here.
_ELSEWHERE = {
    "accept": "approve",
    "access": "break",
    "audit": "ledger",
    "cancel": "withdraw",
    "checkout": "break",
    "cleanup": "done",
    "config": "use",
    "decline": "refuse",
    "deny": "refuse",
    "elevate": "break",
    "enrol": "use",
    "export": "ledger",
    "login": "use",
    "logout": "done",
    "reject": "refuse",
    "release": "done",
    "report": "gate",
    "request": "ask",
    "revoke": "kill",
    "sftp": "scp",
    "survey": "standing",
    "start": "up",
    "verify": "ledger",
}


def places() -> dict[str, str]:
    """Return where each command is: its module in this room, a colon, its name there."""
    found = {name: where for rows in TABLE.values() for name, where, _ in rows}
    return found | {alias: found[name] for alias, name in ALIASES.items()}


def nearest(word: str, known: list[str]) -> str:
    """Return the known name that somebody who typed ``word`` most likely meant, or ''.

    >>> nearest("statuss", ["status", "kill"]), nearest("revoke", ["status", "kill"])
    ('status', 'kill')
    """
    if _ELSEWHERE.get(word) in known:
        return _ELSEWHERE[word]
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), "")
