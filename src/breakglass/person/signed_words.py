"""What a text that somebody signs says, in one line, read from the very bytes that are signed.

Nothing heavy is imported here; the responder's client uses this file too.
"""

from __future__ import annotations

import json
import re
from typing import Any

from breakglass.shown_text import NAME_AT_MOST, shown

_HEADER = re.compile(r"breakglass\.dev/([a-z]+)/v[0-9]+")
_VERSION = re.compile(r"^version ([0-9]{1,10})$", re.MULTILINE)


def in_words(text: str) -> str:
    """Return a line such as ``card 'orders-repair'``; of a text of another form, what it is not.

    >>> in_words('breakglass.dev/card/v1\\n{"glass":"orders-repair"}\\n')
    "card 'orders-repair'"
    >>> in_words("breakglass.dev/trust/v1\\nversion 2\\n")
    'trust file 2'
    """
    header, _, rest = text.partition("\n")
    found = _HEADER.fullmatch(header)
    kind = found[1] if found else ""
    if kind == "trust":
        version = _VERSION.search(rest)
        return f"trust file {version[1] if version else 'of no version'}"
    try:
        said = json.loads(rest)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return f"a text that begins {shown(header, NAME_AT_MOST)!r}"
    if kind == "card":
        return f"card {_name(said.get('glass'))}"
    if kind == "policy":
        return f"policy {_name(said.get('version'))}"
    if kind == "statement":
        return _statement(said)
    return f"{kind or 'a text of an unknown form'}"


def _statement(said: dict[str, Any]) -> str:
    do = str(said.get("do", ""))[:NAME_AT_MOST]
    parts = [shown(do.replace("_", " "), NAME_AT_MOST)]
    if "target" in said:
        parts.append(f"{shown(str(said['target']), NAME_AT_MOST)} {_name(said.get('name'))}")
    for field in ("glass", "gate", "incident"):
        if said.get(field):
            leads = "for " if field == "incident" and len(parts) > 1 else ""
            parts.append(f"{leads}{_name(said[field])}")
    if "answers" in said:
        parts.append(f"of statement {shown(str(said['answers'])[:16], NAME_AT_MOST)}")
    return " ".join(parts)


def _name(value: Any) -> str:
    return str(value) if isinstance(value, int) else repr(shown(str(value), NAME_AT_MOST))
