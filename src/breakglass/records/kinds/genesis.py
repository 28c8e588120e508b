"""The first entry of a log: whose it is and who maintains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.error_names import ErrorName
from breakglass.records.encoding.text_types import Handle, SshKey, Word
from breakglass.records.fold.context import Submission, Void
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.record import Kind
from breakglass.strict_json import Between, Many

if TYPE_CHECKING:
    from breakglass.records.fold.state import State

MaintainerKeys = Annotated[tuple[SshKey, ...], Many(8, 1)]


@dataclass(frozen=True)
class Genesis(Kind):
    """Entry 0 of a log: whose it is and who maintains it. Its text's digest names the log."""

    kind: ClassVar[str] = "genesis"
    organisation: Word
    maintainers: Annotated[Mapping[Handle, MaintainerKeys], Many(64, 2)]
    maintainers_needed: Annotated[int, Between(2, 16)]


def judge(state: State, stated: Submission) -> None:
    """Entry 0 alone is a genesis; ``fold`` takes that one itself."""
    raise Void(ErrorName.GENESIS, "a second genesis")


RULE = KindRule(Genesis, by=frozenset({"broker"}), judge=judge)
