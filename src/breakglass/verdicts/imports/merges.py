"""Merges that a forge exported: passages of one gate, and a bypass where nobody else approved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from breakglass.verdicts.history import Bypass
from breakglass.verdicts.imports.imported import LONGEST_REASON, Imported
from breakglass.verdicts.imports.json_export import Row, Traffic, is_robot, login

Placed = tuple[str, Row]  # where a row stands, for errors, and the row


def one_branch(rows: Sequence[Placed], key: str, base: str, found: Imported) -> list[Placed]:
    """Return the merges into one branch, and tell what is left out.

    Args:
        rows: all merges.
        key: names the branch in a row; a row without it counts as of the one that is meant.
        base: the branch that is meant; else the one with most merges.
        found: told.
    """
    bases = Counter(str(row.get(key) or "") for _, row in rows)
    meant = base or (bases.most_common(1)[0][0] if bases else "")
    others = [f"{name} ({n})" for name, n in sorted(bases.items()) if name not in ("", meant)]
    found.tell(f"left out, merged elsewhere than into '{meant}' (another: --base)", others)
    return [each for each in rows if str(each[1].get(key) or "") in ("", meant)]


class Merges:
    """Counts merges into ``found``; ``traffic`` has the passages.

    Args:
        found: what is imported.
        gate: whose passages they are.
        who: from a login to the name to be written.
    """

    def __init__(self, found: Imported, gate: str, who: Callable[[str], str]) -> None:
        self.traffic = Traffic()
        self._found = found
        self._gate = gate
        self._who = who

    def take(
        self,
        ident: str,
        at: datetime,
        people: tuple[object, object],
        title: object,
        approved: Callable[[str], bool],
    ) -> None:
        """Take one merge.

        Args:
            ident: of its bypass, if it is one.
            at: when it was merged.
            people: its author and its merger, as the forge writes them.
            title: as the forge writes it.
            approved: asked with the author's login; says whether somebody else approved.
        """
        found, (author, merger) = self._found, people
        found.as_of = max(found.as_of or at, at)
        if is_robot(author):
            found.left_out += 1
            return
        name = login(author)
        found.names.add(name)
        self.traffic.count(at, name, self._who)
        if approved(name):
            return
        # A machine that merges only presses the button.
        person = name if is_robot(merger) else login(merger) or name
        found.names.add(person)
        reason = " ".join(str(title or "").split())[:LONGEST_REASON]
        found.events.append(Bypass(ident, at, self._gate, self._who(person), reason=reason))
