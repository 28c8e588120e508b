"""Who stands on a glass's card: everybody who can be meant, their rights, and which of their keys.

A page that shows one text and has another signed turns every passkey into whatever it likes. So a
passkey stands on no card of a grave glass, and on a broad one only where it approves or reviews.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from breakglass.policy.glass import Glass, Passkeys
from breakglass.policy.parse import Bundle
from breakglass.records.people_list import May, PersonLine

CardPeople: TypeAlias = Mapping[str, PersonLine]


def people_on_card(bundle: Bundle, glass: Glass) -> dict[str, PersonLine]:
    """Return the lines of a glass's card by name, whatever the day.

    Who keeps no key for a right loses the right, and who keeps no right is left out.
    """
    directory = bundle.directory
    rights = {
        May.BREAK: set(directory.everybody(glass.who)),
        May.APPROVE: set(directory.everybody(glass.second_signers)),
        May.REVIEW: set(directory.everybody(glass.review.by)),
    }
    found = {}
    for name in sorted(set().union(*rights.values())):
        may = tuple(sorted(right for right, names in rights.items() if name in names))
        line = _line(name, may, directory.people[name].keys, glass.passkeys)
        if line is not None:
            found[name] = line
    return found


def _line(
    name: str, may: tuple[May, ...], keys: tuple[str, ...], passkeys: Passkeys
) -> PersonLine | None:
    touched = tuple(key for key in keys if not key.startswith("passkey "))
    if passkeys is Passkeys.NONE or (passkeys is Passkeys.APPROVE and May.BREAK in may and touched):
        keys = touched
    elif passkeys is Passkeys.APPROVE and not touched:
        # A line has one set of keys: with passkeys alone, what is left is what they are good for.
        may = tuple(right for right in may if right is not May.BREAK)
    return PersonLine(name, may, keys) if may and keys else None
