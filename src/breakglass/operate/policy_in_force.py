"""What a bundle changes in the policy in force, in words and line by line, before anybody signs."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnprovenError
from breakglass.policy.bundle import unpack_bundle
from breakglass.policy.difference import say_difference
from breakglass.policy.parse import Bundle, parse_bundle

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
LINES_SHOWN = 60
COLUMNS = 88
"""Where each line has ``breakglass:`` before it, on a terminal of 100 columns."""


def in_force(ask: Ask) -> Mapping[str, bytes]:
    """Return the files of the policy in force, of the digest that the broker names.

    Args:
        ask: asks the broker: method, path, body.

    Returns:
        no file where no policy is in force yet.

    Raises:
        UnprovenError: ``wrong_policy``: the bytes are others.
        BreakglassError: the broker did not answer, or refused.
    """
    told = ask("GET", "/policy", None)
    digest = str(told["policy"])
    if not digest:
        return {}
    data = base64.b64decode(str(told["bundle"]))
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnprovenError(
            f"the broker gives other bytes than bundle {digest[:12]}", name=ErrorName.WRONG_POLICY
        )
    return unpack_bundle(data)


def rules_stay(ask: Ask, bundle: Bundle) -> bool:
    """Say whether ``bundle`` has the rules and cases in force, whatever its version.

    Raises:
        BreakglassError: see ``in_force``; or this version cannot read the policy in force.
    """
    before = in_force(ask)
    return bool(before) and replace(parse_bundle(before), version=bundle.version) == bundle


def what_changes(ask: Ask, files: Mapping[str, bytes]) -> list[str]:
    """Return what ``files`` change in the policy in force: sentences, and below them the lines.

    Where the broker does not answer, one line says that nothing can be compared: who signs decides
    whether that will do. So it is with a policy in force that this version cannot read: then the
    lines stand alone.
    """
    try:
        before = in_force(ask)
    except BreakglassError as error:
        return [f"no difference to the policy in force can be shown: {error}"]
    try:
        words = say_difference(before, files, COLUMNS)
    except BreakglassError as error:
        words = [f"no words for what changes: {error}"]
    lines = list(line_difference(before, files)) if before else []
    more = len(lines) - LINES_SHOWN
    cut = [f"… and {more} lines more: breakglass policy diff --in-force --lines"]
    return [*words, *lines[:LINES_SHOWN], *(cut if more > 0 else [])]


def line_difference(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the lines of each file that changes: removed ones with -, added ones with +."""
    for name in sorted({*before, *after}):
        old, new = (each.get(name, b"").decode("utf-8", "replace") for each in (before, after))
        yield from difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            f"before: {name}",
            f"after: {name}",
            "",
            "",
            1,
            "",
        )
