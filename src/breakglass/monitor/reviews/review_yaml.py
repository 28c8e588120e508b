"""A review record as YAML, laid out as in SOURCE.md.

One thing differs from the example: a list begins on the line below its key, also under
``actions_taken``, because YAML allows nothing else.
"""

from __future__ import annotations

import json
import re

from breakglass.monitor.reviews.record import Review

_COLUMN = 17  # where values stand in the example
# What a plain YAML scalar cannot be: begun by an indicator, a key, a comment, or another type.
_INDICATORS = "-?:,[]{}#&*!|>'\"%@` "
_OTHER_TYPE = re.compile(
    r"(?i:null|true|false|yes|no|on|off|y|n|~|<<|=|[-+]?\.(inf|nan))|[-+.0-9][-+.0-9_a-fxoe:T Z]*",
    re.ASCII,
)


def yaml_text(review: Review) -> str:
    """Write the record.

    The same review is the same text; reading it as YAML gives the values back.
    """
    lines = [f"# break-glass review record — {review.title}"]
    for key, value in review.record.items():
        if isinstance(value, str):
            lines.append(f"{f'{key}:':<{_COLUMN}}{scalar(value)}")
        elif value:
            lines.append(f"{key}:")
            lines += [f"  - {scalar(each)}" for each in value]
        else:
            lines.append(f"{f'{key}:':<{_COLUMN}}[]")
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Write one value as it stands where YAML reads it so, else in double quotes.

    >>> scalar("INC-4821"), scalar("why: because"), scalar("4"), scalar("it's slow # really")
    ('INC-4821', '"why: because"', '"4"', '"it\\'s slow # really"')
    """
    plain = (
        text
        and text[0] not in _INDICATORS
        and not text[-1].isspace()
        and not text.endswith(":")
        and ": " not in text
        and " #" not in text
        and text.isprintable()
        and not _OTHER_TYPE.fullmatch(text)
    )
    return text if plain else json.dumps(text, ensure_ascii=False)
