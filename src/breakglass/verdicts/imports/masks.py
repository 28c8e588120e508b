"""People taken out of what others wrote: a page says that nobody is named, so nobody may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from breakglass.verdicts.history import Bypass
from breakglass.verdicts.imports.pseudonyms import without_addresses

SHORTEST = 3  # letters; shorter parts of names are words

_REVIEWER = re.compile(r"\b(?:[ams]?r|rs|a|ui-r|moa|reviewer)=[^\s;]+", re.IGNORECASE)
_BRANCH = re.compile(r"\bfrom\s+[\w.-]+[/:][\w./-]+", re.IGNORECASE)
_LOGIN = re.compile(r"(?<![\w.])@[\w-]+")
_WORD = re.compile(r"[^\W_][\w'-]*")


def masked(events: Iterable[Bypass], names: Iterable[str]) -> list[Bypass]:
    """Return the events with the people of ``names`` taken out of their reasons.

    Args:
        names: as found, ``Mira Novak <mira@example.org>`` or a login. Logins and the part of an
            address before the at sign go wherever they stand; a part of a name where it is written
            with a capital. Rather a word too many than a person.
    """
    logins, parts = set[str](), set[str]()
    for name in names:
        shown, _, address = name.partition("<")
        login = address.partition("@")[0].strip().lower() or shown.strip().lower()
        if len(login) >= SHORTEST and " " not in login:
            logins.add(login)
        parts |= {w.lower() for w in _WORD.findall(shown) if len(w) >= SHORTEST}

    def hide(match: re.Match[str]) -> str:
        word = match[0]
        low = word.lower()
        known = low in logins or (low in parts and word[0].isupper())
        return "<name>" if known else word

    def clean(text: str) -> str:
        text = _REVIEWER.sub(" ", _BRANCH.sub("from <name>", without_addresses(text)))
        text = _LOGIN.sub("<name>", text)
        return " ".join(_WORD.sub(hide, text).split())

    return [replace(event, reason=clean(event.reason)) for event in events]
