"""Text of somebody else, as a person gets to see it: on one line, nothing hidden, not endless.

A record, a note's line or a neighbour's answer may carry an escape sequence that rewrites a
terminal, a mark that turns the order of words round, or blanks that push the truth off a telephone.
What is typed by people for people is refused for less (``records.encoding.text_types``); what only
quotes it, in an alert, an error or a table, shows every such character by its code.
"""

from __future__ import annotations

import re

TEXT_AT_MOST = 16 * 1024
"""Characters of a whole message: a record has as many, and a cut scope would hide its end."""
FIELD_AT_MOST = 1000
"""Characters that are quoted of what does not hold; a reason that a person types has 500."""
NAME_AT_MOST = 100
"""Characters of a name, where nobody has checked that it is one."""

# Printable by Unicode's categories, and seen by nobody: joiners, fillers, selectors (but U+FE0F,
# which telephones put behind an emoji), Braille's blank.
_BLANK = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0e\uffa0"
    "\U000e0100-\U000e01ef"
)
_SUSPECT = re.compile(r"[^\x20-\x7e]")
_UNSEEN = re.compile(f"[{_BLANK}]")


def shown(text: str, most_characters: int = FIELD_AT_MOST) -> str:
    """Write a foreign text on one line: what cannot be seen by its code, too much cut off.

    Args:
        text: any, lone surrogates included.
        most_characters: of the answer, its last ``…`` included where something was cut.

    >>> shown("due \\x1b[2Jnow\\n\\u202eyadot"), shown("a" * 9, 5)
    ('due \\\\x1b[2Jnow\\\\n\\\\u202eyadot', 'aaaa…')
    """
    # Cut first: a text of megabytes is not worth writing out.
    found = _SUSPECT.sub(lambda match: _seen(match[0]), text[: most_characters + 1])
    return found if len(found) <= most_characters else found[: most_characters - 1] + "…"


def shown_lines(text: str, most_characters: int = TEXT_AT_MOST) -> str:
    """Write a foreign text of several lines (findings, a traceback), each as ``shown`` does."""
    return "\n".join(shown(line, most_characters) for line in text.split("\n"))


def all_seen(text: str) -> bool:
    """Say whether ``shown`` would change no character of it."""
    return text.isprintable() and not _UNSEEN.search(text)


def _seen(character: str) -> str:
    if all_seen(character):
        return character
    return character.encode("unicode_escape").decode("ascii")
