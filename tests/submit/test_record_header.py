"""Numbers are written into a text without touching another byte of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.submit.record_header import NO_PREV, numbered, read_numbering

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(value: object, attached: str = "", ascii_only: bool = False) -> str:
    line = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=ascii_only)
    return f"breakglass.dev/record/v1\n{attached}{line}\n"


def whole(**more: object) -> dict[str, object]:
    return {"id": "i", "log": "l", "prev": NO_PREV, "seq": 0, **more}


@given(st.dictionaries(st.text(), JSON, max_size=5), st.integers(0, 10**15), st.booleans())
def test_only_seq_and_prev_change(more: dict[str, object], seq: int, ascii_only: bool) -> None:
    value = {**more, **whole(nested={"seq": 7, "prev": "seq"})}
    text = record(value, ascii_only=ascii_only)
    if "\n" in text[len("breakglass.dev/record/v1\n") : -1]:
        return
    changed = numbered(text, seq, "ab" * 32)
    assert changed == record({**value, "seq": seq, "prev": "ab" * 32}, ascii_only=ascii_only)
    found = read_numbering(changed)
    assert (found.log, found.id, found.seq, found.prev) == ("l", "i", seq, "ab" * 32)


def test_line_separators_of_unicode_are_no_line_ends() -> None:
    text = record(whole(why="a\u2028b\u0085c"))
    assert read_numbering(text).id == "i"
    assert "\u2028" in numbered(text, 3, NO_PREV)


def test_attach_lines_are_read() -> None:
    text = record(whole(), f"attach sha256:{'ab' * 32} 17\nattach sha256:{'cd' * 32} 0\n")
    assert read_numbering(text).attachments == (("ab" * 32, 17), ("cd" * 32, 0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "breakglass.dev/record/v1\n",
        "breakglass.dev/record/v2\n{}\n",
        record([]),
        record({}),
        record(whole())[:-1],
        record(whole()) + "\n",
        record(whole()).replace("}", "},"),
        record(whole()).replace("{", "{,"),
        record(whole()).replace(",", ", ", 1),
        record(whole(seq="0")),
        record(whole(seq=-1)),
        record(whole(seq=True)),
        record(whole(seq=0.5)),
        record(whole(seq=10**19)),
        record(whole(prev="ab")),
        record(whole(prev="AB" * 32)),
        record(whole(id="")),
        record(whole(id="x" * 257)),
        record(whole(id=7)),
        record(whole(log=None)),
        record(whole()).replace('"seq":0', '"seq":0,"seq":0'),
        record(whole()).replace('"id":"i"', '"id":"i","id":"j"'),
        record(whole()).replace('"seq"', '"s\\u0065q":1,"seq"'),
        record(whole(), "attach sha256:ab 1\n"),
        record(whole(), f"attach sha256:{'ab' * 32} 01\n"),
        record(whole(), f"attach sha256:{'ab' * 32} 1\n" * 9),
        record(whole(deep=0)).replace('"deep":0', '"deep":' + "[" * 100_000),
    ],
)
def test_other_forms_are_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read_numbering(text)
