"""Which lines of a commit message mean that a gate was bypassed: the rule file, understood.

A rule is a footer (``No-Try: true``, ``TBR=mira``) or a pattern anywhere in the message
(``[skip ci]``). docs/how-to/import-a-history.md has the whole form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.verdicts.imports.rulefile import Items, Node, Table, Text, parse_rules

_FOOTER = re.compile(r"^[ \t]{0,8}([A-Za-z][A-Za-z0-9_-]*)\s*[:=]\s*(.*)$")
# "No-Try: true # bots are down": the comment is the reason that everybody asks for.
_COMMENT = re.compile(r"^(\S.*?)\s+(?:#|//)\s+(.*)$")
# What may stand behind a sign at the end of a subject: a pull request's number and other signs.
_AFTER = re.compile(r"[\s.,;)\]]*(?:\(#\d+\)|\[[^\]]{1,30}\]|\b[A-Z]{3,}\b|r=\S+|a=\S+|\*+|\s)*")


@dataclass(frozen=True)
class Rule:
    """One sign of a bypass: a footer with its value's pattern, or a pattern in the message."""

    footer: str = ""
    value: re.Pattern[str] | None = None
    pattern: re.Pattern[str] | None = None
    placed: bool = False  # the pattern counts only where a sign stands, not where one is talked of

    @property
    def written(self) -> str:
        """The sign as its owner wrote it."""
        return self.footer or (self.pattern.pattern if self.pattern else "")

    def line_in(self, footers: list[tuple[str, str]], text: str) -> str | None:
        """Return the line of a message that shows the sign, or nothing where none does."""
        if self.pattern is not None:
            for match in self.pattern.finditer(text):
                line = _line(text, match.start())
                if not self.placed or _stands(match, text):
                    return line.strip()
            return None
        for name, told in footers:
            if name == self.footer and (self.value.fullmatch(told) if self.value else bool(told)):
                return f"{name}: {told}"
        return None


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
        return self._machines.fullmatch(person) is not None

    @cached_property
    def _machines(self) -> re.Pattern[str]:
        # Only the star stands for more: in "*[bot]*" the brackets are brackets.
        shapes = (re.escape(shape).replace(r"\*", ".*") for shape in self.bots)
        return re.compile("|".join(f"(?:{shape})" for shape in shapes) or "(?!)", re.IGNORECASE)

    @property
    def signs(self) -> tuple[str, ...]:
        """Every sign of a gate, as ``Imported.seen`` counts them."""
        return tuple(
            f"{gate}: {rule.written}" for gate, rules in self.gates.items() for rule in rules
        )


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
            value = match[2].strip()
            comment = _COMMENT.match(value)
            found.append((match[1].lower().replace("_", "-"), comment[1] if comment else value))
    return found


def comments(message: str) -> str:
    """Return the comment behind a footer's yes: why it was set, in the committer's own words."""
    for line in message.split("\n")[1:]:
        match = _FOOTER.match(line)
        comment = _COMMENT.match(match[2].strip()) if match else None
        if comment and comment[1].lower() in {"true", "yes", "1"}:
            return comment[2]
    return ""


def _line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : end if end >= 0 else len(text)]


def _stands(match: re.Match[str], text: str) -> bool:
    """Return whether a sign is given, not talked about: it begins or ends the subject, or is alone.

    In quotes, in back-ticks, in prose, in a pasted log or a list of squashed commits it is only
    mentioned.
    """
    start = text.rfind("\n", 0, match.start()) + 1
    line = _line(text, match.start())
    before, after = line[: match.start() - start], line[match.end() - start :]
    if before[-1:] in {"`", '"', "'"} or after[:1] in {"`", '"', "'"}:
        return False
    ends = _AFTER.fullmatch(after) is not None
    if start == 0:
        return ends or not before.strip()
    return ends and _AFTER.fullmatch(before) is not None


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
    known = {"footer", "value", "pattern", "where"}
    if not isinstance(node, Table) or set(node.values) - known:
        raise MalformedError(
            f"{name}:{node.line}: a rule has 'footer' (and 'value') or 'pattern' (and 'where')",
            name=ErrorName.BAD_RULE,
        )
    footer, value = node.values.get("footer"), node.values.get("value")
    pattern = node.values.get("pattern")
    if (footer is None) == (pattern is None):
        raise MalformedError(
            f"{name}:{node.line}: a rule has either 'footer' or 'pattern'", name=ErrorName.BAD_RULE
        )
    if isinstance(pattern, Text):
        where = node.values.get("where")
        placed = isinstance(where, Text) and where.value == "placed"
        if where is not None and not placed and getattr(where, "value", "") != "anywhere":
            raise MalformedError(
                f"{name}:{where.line}: 'where' is neither 'anywhere' nor 'placed'",
                name=ErrorName.BAD_RULE,
            )
        return Rule(pattern=_pattern(pattern, name), placed=placed)
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
