"""What pgaudit says of one statement: its class, and the table whose rights were checked.

Session audit logging writes one entry for each relation that the executor checked, also inside
functions and behind views. Source: pgaudit's README, «Format», of versions 1.7 to 18.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from breakglass.policy.used.postgres_line import csv_fields

_START = "AUDIT: "
_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_WITHOUT_TEXT = ("<not logged>", "<previously logged>")
# What may stand in a statement and takes a right beside the one that pgaudit names.
_WORDS = (
    ("insert", r"\b(insert|merge)\b"),
    ("update", r"\b(update|share|merge)\b"),  # SELECT … FOR UPDATE or SHARE takes UPDATE
    ("delete", r"\b(delete|merge)\b"),
    ("select", r"\b(select|returning|conflict|merge|where|with|table)\b"),
)
_RIGHT = {"SELECT": "select", "INSERT": "insert", "UPDATE": "update", "DELETE": "delete"}
DATA_RIGHTS = ("select", "insert", "update", "delete")


@dataclass(frozen=True)
class PgauditLine:
    """One entry of pgaudit.

    Attributes:
        statement, part: its number in the session, and inside that statement.
        kind: the class, such as READ or DDL.
        command: such as SELECT; ``???`` where a relation was touched and no right was needed.
        relation: as SQL would write it with its schema; empty where none is named.
        text: the statement; empty where pgaudit was told not to write it.
    """

    statement: int
    part: int
    kind: str
    command: str
    relation: str
    text: str

    @property
    def rights(self) -> tuple[str, ...]:
        """Return the rights that it may have taken on ``relation``: rather one more than one less.

        pgaudit names one right for each relation, also where a statement took two: ``INSERT … ON
        CONFLICT DO UPDATE``, ``SELECT … FOR UPDATE``, ``MERGE``.
        """
        named = _RIGHT.get(self.command)
        if named is None or not self.text:
            return DATA_RIGHTS
        words = {each for each, form in _WORDS if re.search(form, self.text, re.IGNORECASE)}
        if named in ("update", "delete"):
            words.add("select")  # a column on the right of '=' takes it too, and shows no word
        return tuple(each for each in DATA_RIGHTS if each == named or each in words)


def pgaudit_line(message: str) -> PgauditLine | None:
    """Read the message of a log entry; ``None`` if it is no entry of pgaudit.

    The caller has seen to it that the server wrote it: anybody may write such text from inside a
    function, where the entry's context says so.

    >>> pgaudit_line('AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.orders,table orders,<none>')
    PgauditLine(statement=1, part=1, kind='READ', command='SELECT', relation='public.orders', \
text='table orders')
    """
    if not message.startswith(_START):
        return None
    at = csv_fields(message[len(_START) :])
    if at is None or len(at) < 9 or at[0] not in ("SESSION", "OBJECT"):
        return None
    if not _ID.fullmatch(at[1]) or not _ID.fullmatch(at[2]):
        return None
    text = "" if at[7] in _WITHOUT_TEXT else at[7]
    relation = at[6] if at[3] in ("READ", "WRITE") or at[4] == "???" else ""
    return PgauditLine(int(at[1]), int(at[2]), at[3], at[4], relation, text)
