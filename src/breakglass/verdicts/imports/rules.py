"""Which lines of a commit message mean that a gate was bypassed: the rule file, understood.

A rule is a footer (``No-Try: true``, ``TBR=mira``) or a pattern anywhere in the message
(``[skip ci]``). docs/how-to/import-a-history.md has the whole form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.verdicts.imports.rulefile import Items, Node, Table, Text, parse_rules

_FOOTER = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*)\s*[:=]\s*(.*)$")


@dataclass(frozen=True)
class Rule:
    """One sign of a bypass: a footer with its value's pattern, or a pattern in the message."""

    footer: str = ""
    value: re.Pattern[str] | None = None
    pattern: re.Pattern[str] | None = None

    def found(self, footers: list[tuple[str, str]], text: str) -> bool:
        """Return whether a message with these footers and this text shows the sign."""
        if self.pattern is not None:
            return self.pattern.search(text) is not None
        return any(
            name == self.footer and (self.value.fullmatch(told) if self.value else bool(told))
            for name, told in footers
        )


@dataclass(frozen=True)
class Rules:
    """A rule file: gates with their signs, and where incidents, reasons and bots are told from."""

    gates: dict[str, tuple[Rule, ...]]
    incident: tuple[Rule, ...] = ()
    reason: tuple[Rule, ...] = ()
    sanctioned: tuple[Rule, ...] = ()
    bots: tuple[str, ...] = ()

    def is_bot(self, person: str) -> bool:
        """Return whether ``person`` (name and address) is one of the machines."""
        # Only the star stands for more: in "*[bot]*" the brackets are brackets.
        shapes = (re.escape(shape).replace(r"\*", ".*") for shape in self.bots)
        return any(re.fullmatch(shape, person, re.IGNORECASE) for shape in shapes)


def read_rules(text: str, name: str) -> Rules:
    """Read a rule file.

    Raises:
        MalformedError: not the form, an unknown key, or a pattern that does not compile; the
            message names the file and the line.
    """
    tree = parse_rules(text, name)
    known = {"gates", "incident", "reason", "sanctioned", "bots"}
    for key, node in tree.values.items():
        if key not in known:
            raise MalformedError(
                f"{name}:{node.line}: unknown key '{key}', "
                f"wanted one of {', '.join(sorted(known))}",
                name=ErrorName.UNKNOWN_KEY,
            )
    gates = tree.values.get("gates")
    if not isinstance(gates, Table) or not gates.values:
        raise MalformedError(
            f"{name}:{tree.line}: no gates; the key 'gates' names each gate with its signs",
            name=ErrorName.NO_GATES,
            hint="gates:\\n  tryjobs:\\n    - footer: No-Try\\n      value: 'true'",
        )
    return Rules(
        gates={gate: _rules(node, name) for gate, node in gates.values.items()},
        incident=_rules(tree.values.get("incident"), name),
        reason=_rules(tree.values.get("reason"), name),
        sanctioned=_rules(tree.values.get("sanctioned"), name),
        bots=_words(tree.values.get("bots"), name),
    )


def footers(message: str) -> list[tuple[str, str]]:
    """Return ``Key: value`` and ``KEY=value`` lines of a message, keys in lower case.

    Quoted lines (``> No-Try: true``) belong to the message that a revert quotes, and are left out.
    """
    found = []
    for line in message.split("\n")[1:]:
        match = _FOOTER.match(line)
        if match:
            found.append((match[1].lower().replace("_", "-"), match[2].strip()))
    return found


def unquoted(message: str) -> str:
    """Return the message without the lines that it quotes of another."""
    return "\n".join(line for line in message.split("\n") if not line.startswith(">"))


def _rules(node: Node | None, name: str) -> tuple[Rule, ...]:
    if node is None:
        return ()
    if not isinstance(node, Items):
        raise MalformedError(
            f"{name}:{node.line}: wanted a list of '- footer:' or '- pattern:'",
            name=ErrorName.BAD_RULE,
        )
    return tuple(_rule(item, name) for item in node.values)


def _rule(node: Node, name: str) -> Rule:
    if isinstance(node, Text):
        return Rule(pattern=_pattern(node, name))
    if not isinstance(node, Table) or set(node.values) - {"footer", "value", "pattern"}:
        raise MalformedError(
            f"{name}:{node.line}: a rule has 'footer' (and 'value') or 'pattern'",
            name=ErrorName.BAD_RULE,
        )
    footer, value = node.values.get("footer"), node.values.get("value")
    pattern = node.values.get("pattern")
    if (footer is None) == (pattern is None):
        raise MalformedError(
            f"{name}:{node.line}: a rule has either 'footer' or 'pattern'", name=ErrorName.BAD_RULE
        )
    if isinstance(pattern, Text):
        return Rule(pattern=_pattern(pattern, name))
    if not isinstance(footer, Text) or not footer.value:
        raise MalformedError(f"{name}:{node.line}: 'footer' has no name", name=ErrorName.BAD_RULE)
    told = _pattern(value, name) if isinstance(value, Text) else None
    return Rule(footer=footer.value.lower().replace("_", "-"), value=told)


def _pattern(node: Text, name: str) -> re.Pattern[str]:
    try:
        return re.compile(node.value, re.IGNORECASE | re.MULTILINE)
    except re.error as error:
        raise MalformedError(
            f"{name}:{node.line}: {node.value!r} is not a pattern: {error}",
            name=ErrorName.BAD_PATTERN,
            hint="write plain text with signs escaped, such as '\\[skip ci\\]'",
        ) from error


def _words(node: Node | None, name: str) -> tuple[str, ...]:
    if node is None:
        return ()
    if not isinstance(node, Items) or not all(isinstance(item, Text) for item in node.values):
        raise MalformedError(f"{name}:{node.line}: wanted a list of names", name=ErrorName.BAD_RULE)
    return tuple(item.value for item in node.values if isinstance(item, Text))
