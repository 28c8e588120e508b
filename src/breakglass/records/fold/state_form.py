"""The form of a whole state, for a snapshot; see ``records/encoding/whole_form.py``."""

from __future__ import annotations

from breakglass.records.encoding.whole_form import Form
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.gap import Gap
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.intent import Intent
from breakglass.records.signing.signature import Signature

# The slices import these for the type checker alone: a kind knows the state, and the state no kind.
STATE = Form(
    State,
    {
        "ActiveCard": ActiveCard,
        "Ended": Ended,
        "Gap": Gap,
        "Genesis": Genesis,
        "Intent": Intent,
        "Signature": Signature,
    },
)
