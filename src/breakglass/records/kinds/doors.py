"""What a gate or a minter states of the custodians' door: that it was used here, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from breakglass.records.encoding.text_types import Digest, GrantId, Handle, Line, Word
from breakglass.records.record import Kind, known
from breakglass.strict_json import Many


@known
@dataclass(frozen=True)
class Door(Kind):
    """A token of the custodians' door was taken, since the ledger could not be reached.

    ``intent`` is the SHA-256 of the intent's text, which must come into the log by itself;
    ``tried`` says how the ledger did not answer; ``custodians`` are those whose lines counted.
    """

    kind: ClassVar[str] = "door"
    grant: GrantId
    intent: Digest
    who: Handle
    glass: Handle
    run: Word
    not_after: datetime
    custodians: Annotated[tuple[Handle, ...], Many(16)]
    tried: Line
