"""A bundle is one text with one digest, whoever packs it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.bundle import bundle_digest, pack_bundle, unpack_bundle
from breakglass.policy.compile import compile_policy
from breakglass.policy.folder import read_bundle
from tests.policy.kit import files_of


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    files = {"b.cedar": b"// b", "breakglass.yaml": b"version: 1\n", "a.cedar": b""}
    packed = pack_bundle(files)
    assert packed == pack_bundle(dict(sorted(files.items())))
    assert packed == b'{"a.cedar":"","b.cedar":"// b","breakglass.yaml":"version: 1\\n"}'
    assert unpack_bundle(packed) == files


def test_the_policy_digest_is_of_the_packed_bytes() -> None:
    files = files_of("demo")
    assert compile_policy(files).digest == bundle_digest(pack_bundle(files))


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}\.cedar", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        max_size=4,
    )
)
def test_packing_loses_nothing(files: dict[str, str]) -> None:
    whole = {name: text.encode() for name, text in files.items()} | {"breakglass.yaml": b"x"}
    assert unpack_bundle(pack_bundle(whole)) == whole


@given(st.binary(max_size=200))
def test_any_bytes_unpack_or_are_malformed(data: bytes) -> None:
    with suppress(MalformedError):
        unpack_bundle(data)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "expected a file 'breakglass.yaml'"),
        ({"breakglass.yaml": b"", "../x.cedar": b""}, "got '../x.cedar'"),
        ({"breakglass.yaml": b"", "notes.txt": b""}, "got 'notes.txt'"),
        ({"breakglass.yaml": b"a: \xff"}, "breakglass.yaml:1:1: expected UTF-8, got byte 0xff"),
        ({"breakglass.yaml": b"x" * 6_300_000}, "expected 6291456 bytes at most"),
    ],
)
def test_what_has_no_place_in_a_bundle_is_refused(files: dict[str, bytes], says: str) -> None:
    with pytest.raises(MalformedError, match=r"(?s).*") as caught:
        pack_bundle(files)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"breakglass.yaml":"a","a.cedar":""}',
        b'{"breakglass.yaml": "a"}',
        b'{"breakglass.yaml":1}',
        b"[]",
        b'{"a.cedar":""}',
    ],
)
def test_a_packed_bundle_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack_bundle(data)


def test_a_folder_gives_its_policy_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "breakglass.yaml").write_bytes(b"version: 1\n")
    (tmp_path / "freeze.cedar").write_bytes(b"// none")
    (tmp_path / "README.md").write_bytes(b"no policy")
    (tmp_path / ".git").mkdir()
    assert read_bundle(tmp_path) == {
        "breakglass.yaml": b"version: 1\n",
        "freeze.cedar": b"// none",
    }


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"version: 1\n")
    (folder / "breakglass.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MalformedError, match="expected a plain file"):
        read_bundle(folder)


def test_a_missing_folder_is_malformed_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="cannot be read"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(MalformedError, match=r"expected a policy bundle with 'breakglass.yaml'"):
        read_bundle(tmp_path)
